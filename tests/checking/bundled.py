"""What bundlers write, shortened by hand: the references as they stand in real builds, and empty files for the rest.

Each build is right: all that it refers to is there, and every file in it but pages is referred to.
"""

# ruff: noqa: E501 - bundlers write long lines

from __future__ import annotations

from typing import Final

_VITE_PAGE = """<!doctype html><html><head><link rel="icon" href="{0}favicon.svg">\
<link rel="manifest" href="{0}site.webmanifest">  <script type="module" crossorigin src="{0}assets/main-BByaf8RL.js"></script>
  <link rel="modulepreload" crossorigin href="{0}assets/shared-0Wq4S6rU.js">
  <link rel="stylesheet" crossorigin href="{0}assets/shared-kwZN7bZB.css">
</head><body><img src="{0}assets/pic-Cl_2P7Ep.png" srcset="{0}assets/pic-Cl_2P7Ep.png 1x, {0}assets/pic2-ChhhvxKh.png 2x">\
<a href="/docs/">docs</a></body></html>"""

_VITE_FILES = {
    "favicon.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
    "site.webmanifest": '{"name":"x","icons":[{"src":"icons/a.png","sizes":"1x1"}],"start_url":"."}',
    "icons/a.png": "",
    "sw.js": "self.addEventListener('install',()=>{})",
    "assets/shared-0Wq4S6rU.js": "export{e as a}",
    "assets/lazy-Db08v7Fo.css": ".lazy{background:url(de-B0m0OG9d.png)}",
    "assets/lazyw-CV5-iXmw.js": "var e=1;export{e as x};",
    "assets/w-DbVfH6bk.js": "self.onmessage=async()=>{let e=await import(`./lazyw-CV5-iXmw.js`);postMessage(e.x)};",
    "assets/w2-CCkMM4Ho.js": "self.onmessage=()=>postMessage(2);",
    **dict.fromkeys(
        (
            "assets/pic-Cl_2P7Ep.png",
            "assets/pic2-ChhhvxKh.png",
            "assets/de-B0m0OG9d.png",
            "assets/en-CPdHZrjE.png",
            "assets/data-Cuw4XCAT.bin",
            "assets/inter-latin-400-normal-C38fXH4l.woff2",
        ),
        "",
    ),
}

_VITE_CSS = """@import "https://fonts.example/x.css";@font-face{font-family:Inter;src:url(%sinter-latin-400-normal-C38fXH4l.woff2)\
format("woff2");unicode-range:U+??}body{cursor:url(data:image/png;base64,AAAA),auto;background:url(%spic-Cl_2P7Ep.png#frag);\
-webkit-mask:url(#m);mask:url(#m)}.two{background:image-set("%sen-CPdHZrjE.png" 1x)}.a{behavior:url(#default#VML)}"""

VITE = {
    **_VITE_FILES,
    "index.html": _VITE_PAGE.format("/"),
    "assets/shared-kwZN7bZB.css": _VITE_CSS.replace("%s", "/assets/"),
    "assets/lazy-CD4TMReV.js": 'import{a as e}from"./shared-0Wq4S6rU.js";export{e as default};',
    "assets/main-BByaf8RL.js": """\
const __vite__mapDeps=(i,m=__vite__mapDeps,d=(m.f||(m.f=["assets/lazy-CD4TMReV.js","assets/shared-0Wq4S6rU.js",\
"assets/lazy-Db08v7Fo.css"])))=>i.map(i=>d[i]);
import{a as e,i as t,n,r,t as i}from"./shared-0Wq4S6rU.js";var a,o=e((()=>{a=`/assets/de-B0m0OG9d.png`})),m=e((()=>{\
p=`/assets/pic-Cl_2P7Ep.png`})),h,g=e((()=>{h=`/assets/w-DbVfH6bk.js`}));function _(e){return new Worker(\
`/assets/w2-CCkMM4Ho.js`,{type:`module`,name:e?.name})}function y(e){return new SharedWorker(`/assets/w-DbVfH6bk.js`,\
{type:`module`,name:e?.name})}var S=function(e){return`/`+e},E=function(e,t,n){function s(e){return import.meta.resolve?\
new URL(import.meta.resolve(e)):new URL(e,import.meta.url)}};t((()=>{document.body.append(n(`main`),p,h);var e=new Worker(\
new URL(`/assets/w-DbVfH6bk.js`,``+import.meta.url),{type:`module`}),x=new _;console.log(e,x,\
new URL(`/assets/data-Cuw4XCAT.bin`,``+import.meta.url).href,new URL(`/assets/pic2-ChhhvxKh.png`,``+import.meta.url)),\
document.querySelector(`a`).onclick=async()=>{let e=document.documentElement.lang,t=await d(Object.assign(\
{"./locales/de.ts":()=>E(()=>import(`./lazy-CD4TMReV.js`),__vite__mapDeps([0,1,2]))}),`./locales/${e}.ts`,3),\
n=new URL(Object.assign({"./imgs/de.png":a})[`./imgs/${e}.png`],import.meta.url).href;console.log(t,n)},\
`serviceWorker`in navigator&&navigator.serviceWorker.register(`/sw.js`)}))();""",
}

VITE_RELATIVE = {
    **_VITE_FILES,
    "index.html": _VITE_PAGE.format("./"),
    "docs/index.html": '<!doctype html><script type="module" src="../assets/main-BByaf8RL.js"></script><a href="../">',
    "assets/shared-kwZN7bZB.css": _VITE_CSS.replace("%s", ""),
    "assets/lazy-CD4TMReV.js": 'import{a as e}from"./shared-0Wq4S6rU.js";export{e as default};',
    "assets/main-BByaf8RL.js": """\
const __vite__mapDeps=(i,m=__vite__mapDeps,d=(m.f||(m.f=["./lazy-CD4TMReV.js","./shared-0Wq4S6rU.js",\
"./lazy-Db08v7Fo.css"])))=>i.map(i=>d[i]);
import{a as e}from"./shared-0Wq4S6rU.js";var a,o=e((()=>{a=new URL(`de-B0m0OG9d.png`,import.meta.url).href}));\
function _(e){return new Worker(new URL(`w2-CCkMM4Ho.js`,import.meta.url).href,{type:`module`,name:e?.name})}function y(e){\
return new SharedWorker(new URL(`w-DbVfH6bk.js`,import.meta.url).href)}var S=function(e,t){return new URL(e,t).href};\
console.log(new URL(new URL(`data-Cuw4XCAT.bin`,import.meta.url).href,``+import.meta.url).href);\
E(()=>import(`./lazy-CD4TMReV.js`),__vite__mapDeps([0,1,2]),import.meta.url);navigator.serviceWorker.register(`./sw.js`)""",
}

VITE_LEGACY = {
    "index.html": """<!doctype html><html><head>
  <script type="module" crossorigin src="/assets/polyfills-D6v_7CQY.js"></script>
  <script type="module">import'data:text/javascript,if(!import.meta.resolve)throw Error("import.meta.resolve not supported")';\
import.meta.url;import("_").catch(()=>1);(async function*(){})().next();window.__vite_is_modern_browser=true</script>
  <script type="module">!function(){if(window.__vite_is_modern_browser)return;var e=document.getElementById(\
"vite-legacy-polyfill"),n=document.createElement("script");n.src=e.src,n.onload=function(){System.import(\
document.getElementById('vite-legacy-entry').getAttribute('data-src'))},document.body.appendChild(n)}();</script>
</head><body>
  <script nomodule>!function(){var e=document,t=e.createElement("script");t.type="module",t.src=".",t.remove()}();</script>
  <script nomodule crossorigin id="vite-legacy-polyfill" src="/assets/polyfills-legacy-DGThU9cx.js"></script>
  <script nomodule crossorigin id="vite-legacy-entry" data-src="/assets/main-legacy-DrfAXK3c.js">System.import(\
document.getElementById('vite-legacy-entry').getAttribute('data-src'))</script>
</body></html>""",
    "assets/polyfills-D6v_7CQY.js": "",
    "assets/polyfills-legacy-DGThU9cx.js": "",
    "assets/shared-legacy-C_XE04GH.js": "System.register([],function(e,t){return{execute:function(){}}});",
    "assets/lazy-legacy-CwJO_1vV.js": 'System.register(["./shared-legacy-C_XE04GH.js"],function(e,t){});',
    "assets/de-B0m0OG9d.png": "",
    "assets/pic2-ChhhvxKh.png": "",
    "assets/main-legacy-DrfAXK3c.js": """!function(){System.register([`./shared-legacy-C_XE04GH.js`],function(n,r){var o;\
return{setters:[function(e){}],execute:function(){var n=`/assets/de-B0m0OG9d.png`;console.log(\
new URL(`/assets/pic2-ChhhvxKh.png`,``+r.meta.url)),T(function(){return r.import(`./lazy-legacy-CwJO_1vV.js`)},void 0)}}})}();""",
}

VITE_4 = {
    "index.html": '<!doctype html><script type="module" crossorigin src="/assets/main-724aa866.js"></script>',
    "assets/shared-76ce5c30.js": "",
    "assets/shared-f45f8c3c.css": "",
    "assets/lazy-88479ed4.js": "",
    "assets/w-fcd4aef6.js": "",
    "assets/main-724aa866.js": """import{s as o,_ as c}from"./shared-76ce5c30.js";const p=""+new URL("/assets/w-fcd4aef6.js",self.location).href;\
c(()=>import("./lazy-88479ed4.js"),["assets/lazy-88479ed4.js","assets/shared-76ce5c30.js","assets/shared-f45f8c3c.css"]);""",
}

WORKBOX = {
    "index.html": """<!doctype html><html lang="en"><head><link rel="manifest" href="/manifest.webmanifest">\
<script id="vite-plugin-pwa:register-sw" src="/registerSW.js"></script></head><body><div id="root"></div></body></html>""",
    "manifest.webmanifest": '{"name":"x","start_url":"/","scope":"/","icons":[{"src":"vite.svg","sizes":"any"}]}',
    "vite.svg": "",
    "registerSW.js": "if('serviceWorker' in navigator) {window.addEventListener('load', () => "
    "{navigator.serviceWorker.register('/sw.js', { scope: '/' })})}",
    "workbox-9c191d2f.js": "define([],function(){})",
    "assets/index-C79WVjm3.js": "",
    "sw.js": """if(!self.define){let e,s={};const i=(i,n)=>(i=new URL(i+".js",n).href,s[i]||new Promise(s=>{importScripts(i),s()}));\
self.define=(n,r)=>{const t=e||("document"in self?document.currentScript.src:"")||location.href}}\
define(["./workbox-9c191d2f"],function(e){"use strict";self.skipWaiting(),e.precacheAndRoute([{url:"index.html",\
revision:"5b2157094b525a75f3d2313086055bed"},{url:"assets/index-C79WVjm3.js",revision:null},{url:"vite.svg",\
revision:"2c37c2ba6d072d2441c1e6697187edb3"}],{}),e.registerRoute(new e.NavigationRoute(\
e.createHandlerBoundToURL("index.html")))});""",
}

WEBPACK = {
    "index.html": "<!doctype html><head><script defer src=/static/js/main.67a9d0a8.js></script>"
    "<link href=/static/css/main.ca203956.css rel=stylesheet></head><body></body></html>",
    "static/css/main.ca203956.css": "body{background:url(../media/pic.437b86bf26a01d56beb7.png#a)}\n\n"
    "/*# sourceMappingURL=main.ca203956.css.map*/",
    "static/css/lazy.a9087158.chunk.css": "p{background:url(/static/media/pic.437b86bf26a01d56beb7.png)}",
    "static/media/pic.437b86bf26a01d56beb7.png": "",
    "static/media/pic2.c10cd57d8a52916a5fc5.png": "",
    "static/js/lazy.07f6a068.chunk.js": "",
    "static/js/453.29462d40.chunk.js": "",
    "static/js/main.67a9d0a8.js": """(()=>{var e={173(e,t,n){e.exports=n.p+"static/media/pic2.c10cd57d8a52916a5fc5.png"}};\
n.u=e=>"static/js/"+(245===e?"lazy":e)+"."+{245:"07f6a068",453:"29462d40"}[e]+".chunk.js",n.miniCssF=e=>\
"static/css/lazy.a9087158.chunk.css",n.p="/",n.b="undefined"!=typeof document&&document.baseURI||self.location.href;\
var l=self.webpackChunkwp=self.webpackChunkwp||[];n.e(245).then(n.bind(n,245))})();
//# sourceMappingURL=main.67a9d0a8.js.map""",
}

PARCEL = {
    "index.html": '<!DOCTYPE html><script type=importmap>{"imports":{"9Zh5b":"/w.bb78972b.js","fx2CI":"/lazy.d24f6d8b.js",'
    '"lTiDS":"/pic2.4820db52.png"}}</script><link rel=stylesheet href=/parcel.7c5574a7.css>'
    "<script type=module src=/parcel.735b0189.js></script><img src=/pic.ad0bb4d9.png><a href=/two.html>t</a>",
    "two.html": '<script type=module>import"./parcel.735b0189.js";i("jPMjU");</script><p>two',
    "parcel.735b0189.js": 'i("l46CU",function(r,e){r.exports=import("fx2CI").then(()=>o("9jQA6"))}),i("5yyXL",function(r,e)'
    '{let i=new URL(import.meta.resolve("9Zh5b"));r.exports=t(i.toString(),i.origin,!0)})',
    "parcel.7c5574a7.css": "body{background:url(pic2.4820db52.png)}",
    **dict.fromkeys(("w.bb78972b.js", "lazy.d24f6d8b.js", "pic2.4820db52.png", "pic.ad0bb4d9.png"), ""),
}

ANGULAR = {
    "index.html": '<!doctype html>\n<html lang="en" data-beasties-container>\n<head>\n  <base href="/">\n'
    '  <link rel="icon" type="image/x-icon" href="favicon.ico">\n<link rel="stylesheet" href="styles-5INURTSO.css"></head>\n'
    '<body>\n  <app-root></app-root>\n<script src="main-6NTMY2WZ.js" type="module"></script></body>\n</html>',
    "favicon.ico": "",
    "styles-5INURTSO.css": "",
    "main-6NTMY2WZ.js": 'import{a as b}from"./chunk-Q7L6LLAK.js";',
    "chunk-Q7L6LLAK.js": "export{a};",
}

BUILDS: Final = {
    "Vite": VITE,
    "Vite, base ./": VITE_RELATIVE,
    "Vite's legacy plugin": VITE_LEGACY,
    "Vite 4": VITE_4,
    "Workbox": WORKBOX,
    "webpack": WEBPACK,
    "Parcel": PARCEL,
    "Angular": ANGULAR,
}

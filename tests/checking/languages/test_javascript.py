"""The references of scripts and modules: those of the language, of the platform, and of bundlers."""

from __future__ import annotations

import pytest

from tests.checking.sites import found
from version_affinity.checking.languages import javascript
from version_affinity.checking.languages.bundlers import chunk_names
from version_affinity.checking.languages.syntax import nodes, parsed
from version_affinity.checking.references import Base, Need


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("import './a.js'", [("import", "./a.js")]),
        ("import a, {b as c} from './a.js'; import * as d from 'd'", [("import", "./a.js"), ("import", "d")]),
        ("import a from './a.json' with { type: 'json' }", [("import", "./a.json")]),
        ("export * from './a.js'; export { b } from './b.js'; export const c = 1; export default 2", [
            ("export from", "./a.js"), ("export from", "./b.js"),
        ]),
        ("import('./a.js'); await import(`./b.js`); import(/* c */ './d.js', {})", [
            ("import()", "./a.js"), ("import()", "./b.js"), ("import()", "./d.js"),
        ]),
        ("import(`./${a}.js`); import(a); import('./' + a + '.js')", []),
        ("new URL('./a.png', import.meta.url)", [("new URL()", "./a.png")]),
        ("new URL('a.png', '' + import.meta.url)", [("new URL()", "a.png")]),
        ("new URL('a.png', document.currentScript && document.currentScript.src || document.baseURI)", [
            ("new URL()", "a.png"),
        ]),
        ("new URL('api/users.json', location.href); new URL('a'); new URL(a, import.meta.url)", []),
        ("import.meta.resolve('./a.js')", [("import.meta.resolve()", "./a.js")]),
        ("new Worker('/a.js'); new SharedWorker('b.js', {type: 'module'}); new self.Worker(`c.js`)", [
            ("new Worker()", "/a.js"), ("new SharedWorker()", "b.js"), ("new Worker()", "c.js"),
        ]),
        ("new Worker(new URL('a.js', import.meta.url))", [("new URL()", "a.js")]),
        ("self.importScripts('a.js'); a.importScripts('b.js')", [("importScripts()", "a.js")]),
        ("importScripts('a.js', 'b.js')", [("importScripts()", "a.js"), ("importScripts()", "b.js")]),
        ("navigator.serviceWorker.register('/sw.js', {scope: '/'})", [("serviceWorker.register()", "/sw.js")]),
        ("audio.audioWorklet.addModule('a.js'); CSS.paintWorklet.addModule('b.js')", [
            ("addModule()", "a.js"), ("addModule()", "b.js"),
        ]),
        # Escapes mean what they stand for.
        (r"import '\x2e/\u0061\u{2e}js'", [("import", "./a.js")]),
        ("import './a\\\nb.js'", [("import", "./ab.js")]),
        # Strings that name a file from the root, or a fingerprinted one.
        ("a = `/logo.svg`; b = '/assets/pic-Cl_2P7Ep.png?x#y'; c = 'assets/pic-Cl_2P7Ep.png'", [
            ("string", "/logo.svg"), ("string", "/assets/pic-Cl_2P7Ep.png?x#y"), ("string", "assets/pic-Cl_2P7Ep.png"),
        ]),
        ("import('./a-Cl_2P7Ep.js'); b = './a-Cl_2P7Ep.js'", [("import()", "./a-Cl_2P7Ep.js")]),
        ("a = 'logo.svg'; b = '/about'; c = '/user/jane.doe'; d = '/index.html'; e = 'see /logo.svg'; f = '/*.js'", []),
        ("a = 'https://x.example/assets/logo-Cl_2P7Ep.svg'", [("string", "https://x.example/assets/logo-Cl_2P7Ep.svg")]),
        ("a = 'https://x.example/logo.svg'; b = b + '/logo.svg'; c = '/a' + d + '-Cl_2P7Ep.js'; e = '/.js'", []),
        # What is no reference: source maps, comments, regular expressions, other strings.
        ("// import './a.js'\n/* import('./b.js') */ c = \"import './d.js'\"\n//# sourceMappingURL=a.js.map", []),
        ("/import('a.js')/; imports('./a.js'); a.register('./b.js'); new Date('/c'); resolve('./d.js')", []),
        ("obj.import('a'); Worker('/a'); require('./b')", []),
    ],
)  # fmt: skip
def test_references(text: str, expected: list[tuple[str, str]]) -> None:
    """What a script loads by constant names is found, and nothing else."""
    document = javascript.script_references(text.encode())
    assert (found(document), document.faults) == (expected, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Vite 5.2 and later, 5.0, 4 and before.
        (
            'const __vite__mapDeps=(i,m=__vite__mapDeps,d=(m.f||(m.f=["assets/a.js","b.css"])))=>i.map(i=>d[i]);',
            [("__vite__mapDeps", "assets/a.js"), ("__vite__mapDeps", "b.css")],
        ),
        (
            """function __vite__mapDeps(indexes) { if (!__vite__mapDeps.viteFileDeps) {
            __vite__mapDeps.viteFileDeps = ["./a.js"] } return indexes.map((i) => __vite__mapDeps.viteFileDeps[i]) }""",
            [("__vite__mapDeps", "./a.js")],
        ),
        (
            'p(()=>import("./a.js"),["assets/a.js","assets/b.css"]);p(()=>import("./c.js"),[]);',
            [("preload list", "assets/a.js"), ("preload list", "assets/b.css"), ("import()", "./a.js"),
             ("import()", "./c.js")],
        ),
        ('f(()=>1,["a.js"]);f(()=>import("./a.js"),["b"]);f(()=>import("./a.js"),x)', [("import()", "./a.js")]),
        # Vite's legacy builds.
        (
            'System.register(["./a.js","b"],function(e,r){return{execute:()=>r.import("./c.js")+r.import("d")}})',
            [("System.register()", "./a.js"), ("r.import()", "./c.js")],
        ),
        ('System.register("name",["./a.js"],f);new URL("b.png",r.meta.url)', [
            ("System.register()", "./a.js"), ("new URL()", "b.png"),
        ]),
        # Service workers of Workbox.
        (
            """define(["./workbox-33d6cbb8"],function(s){s.precacheAndRoute([{url:"index.html",revision:"8dcc"},
            {"revision":null,"url":"/assets/a.js"}])})""",
            [
                ("define()", "./workbox-33d6cbb8.js"),
                ("precache list of Workbox", "index.html"),
                ("precache list of Workbox", "/assets/a.js"),
            ],
        ),
        ('define(["./jquery"],f);workbox-1;a={url:"b.js"};c={revision:1}', []),
        (
            "caches.open('a').then(c => c.addAll(['/', './a.js', 'b.css', 'name'])); cache.add('/c'); list.add('/d')",
            [("precache list", "/"), ("precache list", "./a.js"), ("precache list", "b.css"), ("precache list", "/c")],
        ),
        ("cache.addAll(['/a.js'])", [("string", "/a.js")]),
        # VitePress, Turbopack.
        (
            """window.__VP_HASH_MAP__=JSON.parse('{"guide_a.md":"BX4CeNGm"}')""",
            [("VitePress page", f"assets/guide_a.md.BX4CeNGm{ending}") for ending in (".js", ".lean.js")],
        ),
        ("window.__VP_HASH_MAP__=JSON.parse('{'); a.__VP_HASH_MAP__=JSON.parse('[1]')", []),
        (
            '(globalThis.TURBOPACK=[]).push([0,e=>{e.v(t=>Promise.all(["static/chunks/2i079w-5af0xc.js","b.js"].map(e.l)))}])',
            [("Turbopack chunk", "static/chunks/2i079w-5af0xc.js")],
        ),
        # webpack and Rspack, whose style sheets have a map of their own.
        (
            """i.u=e=>"js/"+e+"."+({5:"065d78732d",a:"2fd2322412"})[e]+".js",i.miniCssF=e=>"css/"+e+".856e946b62.css";
            self.rspackChunk=[];0!==c[e]&&({a:1})[e]&&f()""",
            [("webpack chunk", "js/5.065d78732d.js"), ("webpack chunk", "js/a.2fd2322412.js"),
             ("webpack chunk", "css/a.856e946b62.css")],
        ),
        (
            """n.u=e=>"js/"+(245===e?"lazy":e)+"."+{141:"c86eeba0",245:"07f6a068"}[e]+".chunk.js",n.miniCssF=e=>{};
            self.webpackChunka=[];a=n.p+"media/pic.437b86bf.png";""",
            [("webpack chunk", "js/lazy.07f6a068.chunk.js"), ("webpack chunk", "js/141.c86eeba0.chunk.js"),
             ("string", "media/pic.437b86bf.png")],
        ),
        # webpack's own style sheets (experiments.css): of one chunk, of several.
        (
            """r.k=e=>e+".812fa1f1.css";self.webpackChunkw=[];r.f.css=(o,n)=>{let s=e[o];if(0!==s)if(s)n.push(s[2]);else
            if(391==o){f(r.p+r.k(o))}};t.k=e=>e+1""",
            [("webpack chunk", "391.812fa1f1.css")],
        ),
        (
            """o.k=e=>e+"."+{391:"812fa1f1",a:"e31914ea"}[e]+".css";self.webpackChunkw=[];r.f.css=(e,t)=>{}""",
            [("webpack chunk", "391.812fa1f1.css"), ("webpack chunk", "a.e31914ea.css")],
        ),
        ('t.k=e=>e+".css";self.webpackChunkw=[];c({a:1}[e])', []),
        ('n.u=e=>"js/"+{1:"a86ba0dc"}[e]+".js"', []),  # of something else: there are no webpack chunks
    ],
)  # fmt: skip
def test_bundlers(text: str, expected: list[tuple[str, str]]) -> None:
    """What bundlers write in their own ways is found."""
    document = javascript.script_references(text.encode())
    assert (found(document), document.faults) == (expected, ())


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ('e=>"a/"+e+"."+{1:"x",b:"y","c":"z"}[e]+".js"', ["a/1.x.js", "a/b.y.js", "a/c.z.js"]),
        ('e=>"a/"+({1:"home"}[e]||e)+"."+{1:"x",2:"y"}[e]+".js"', ["a/home.x.js", "a/2.y.js"]),
        ('function(e){return""+e+"."+{1:"x"}[e]+".js"}', ["1.x.js"]),
        ('e=>"a/"+e+"."+{6e3:"x",17:"z"}[e]', ["a/6000.x", "a/17.z"]),
        ("(e)=>`a/${e}.${({1:'x'})[e]}.js`", ["a/1.x.js"]),
        ('e=>179===e?"a.js":e==="b"?"c.js":"d/"+e+".js"', ["a.js", "c.js"]),
        ('e=>"only.css"', ["only.css"]),
        # No ids are written out, or not the whole name is.
        ('e=>"a/"+e+".js"', []),
        ("e=>{}", []),
        ('e=>{if(1===e)return"a.js"}', []),
        ('e=>"a/"+{1:"x"}[e]+f(e)', []),
        ('e=>"a/"+{1:x}[e]', []),
        ('e=>1===f(e)?"a.js":1===e?"b.js":"c.js"', []),
        ('(e,f)=>"a/"+{1:"x"}[e]', []),
        ('()=>"a/"+{1:"x"}[e]', []),
        ("a", []),
    ],
)
def test_chunk_names(function: str, expected: list[str]) -> None:
    """The function that names webpack's chunks is read for each id in it; one that is not understood says nothing."""
    (assignment,) = nodes(parsed(f"n.u={function}".encode()), ["assignment_expression"])
    right = assignment.child_by_field_name("right")
    assert right is not None
    assert list(chunk_names(right)) == expected


@pytest.mark.parametrize(
    ("text", "need", "base"),
    [
        ("import './a.js'", Need.FILE, Base.SPECIFIER),
        ("import.meta.resolve('./a')", Need.CONTENT, Base.SPECIFIER),
        ("new URL('a', import.meta.url)", Need.CONTENT, Base.FILE),
        ("new Worker('a.js')", Need.FILE, Base.PAGE),
        ("importScripts('a.js')", Need.FILE, Base.FILE),
        ("a = '/b.png'", Need.NAMED, Base.PUBLIC),
    ],
)
def test_needs(text: str, need: Need, base: Base) -> None:
    """Each kind says what has to be there, and what a relative URL of it is relative to."""
    (reference,) = javascript.script_references(text.encode()).references
    assert (reference.need, reference.base) == (need, base)


def test_lines() -> None:
    """A reference is told with its line, counted from that of the script in its document."""
    document = javascript.script_references(b"\xef\xbb\xbf\nimport './a.js'\n\nimport(\n'./b.js')", first_line=10)
    assert [(reference.text, reference.line) for reference in document.references] == [("./a.js", 11), ("./b.js", 14)]


@pytest.mark.parametrize(
    ("text", "line"), [("a b c", 1), ("\n\nimport {a from './a.js'", 3), ("f(;\nimport('./a.js')", 1), ("'", 1)]
)
def test_faults(text: str, line: int) -> None:
    """The first place that is no JavaScript is told."""
    (fault,) = javascript.script_references(text.encode()).faults
    assert fault.line == line


@pytest.mark.parametrize(
    "text",
    [
        "#!/usr/bin/env node\nimport './a.js'",
        "<!-- b\nimport('./a.js')",
        "class A { static #b = 1; static { import('./a.js') } get c() {} }",
        "a?.b ?? (c ||= 1n); for await (const d of e) import('./a.js')",
        "const {a, ...b} = c; label: for (;;) break label; import('./a.js')",
        "if (a) /re[/]x/u.test(b); `${`${import('./a.js')}`}`",
    ],
)
def test_syntax(text: str) -> None:
    """What is newer, older or rarer than most of the language is understood."""
    document = javascript.script_references(text.encode())
    assert ([reference.text for reference in document.references], document.faults) == (["./a.js"], ())

importScripts("/imported.js");
fetch("/data.json").then((answer) => answer.json()).then((data) => postMessage(["v2", self.imported, data.version]));

importScripts("/imported.js");
fetch("/data.json").then((answer) => answer.json()).then((data) => postMessage(["v1", self.imported, data.version]));

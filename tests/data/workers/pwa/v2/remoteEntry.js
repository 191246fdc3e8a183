window.remote = "v2";

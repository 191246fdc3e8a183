window.remote = "v1";

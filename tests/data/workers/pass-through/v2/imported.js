self.imported = "v2";

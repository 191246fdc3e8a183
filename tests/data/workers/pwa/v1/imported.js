self.imported = "v1";

"""Reading a build directory into an index of assets."""

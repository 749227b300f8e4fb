"""The registry that the program brings along, Nacos-compatible over HTTP."""

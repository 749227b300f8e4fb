"""Lane rules: the YAML contract, the index that matches, and the interpreter that explains."""

"""The control plane: load, validate, compile, swap, and keep the old on failure."""

"""Where applications run: `processes` on this machine."""

"""The scenario as real processes on loopback."""

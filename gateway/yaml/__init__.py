"""YAML, read with places, written and changed in place."""

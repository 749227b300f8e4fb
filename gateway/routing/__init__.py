"""Where a request goes: pure decisions over an immutable snapshot."""

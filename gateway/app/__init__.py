"""The composition root: the roles, each put together out of the same parts.

Read a `start` top to bottom to see the architecture; every part has a line that says why it sits there.
"""

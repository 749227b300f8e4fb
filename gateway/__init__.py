"""Gray-routing gateway: an entry gateway and sidecar that keep marked requests in their lane along a call chain."""

__version__ = "0.1.0"

"""The registry as an application sees it through its sidecar."""

"""The Kubernetes Gateway API as a source of routes: objects, what is made of them, and what their status says of that."""

"""Sidecars for pods of a Kubernetes cluster: added to manifests, or by the API server as pods are created."""

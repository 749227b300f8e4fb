"""Kubernetes as a registry: services are Services, instances their endpoints, tags the labels of pods."""

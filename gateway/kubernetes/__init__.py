"""The API of a Kubernetes cluster: where it is, who we are there, and how a collection is followed."""

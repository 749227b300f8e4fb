"""Consul: instances by blocking queries, registration through python-consul's API.

Sources: https://developer.hashicorp.com/consul/api-docs/health, …/api-docs/agent/service, …/api-docs/features/blocking.
"""

"""Registries: an adapter for each, and what all of them share."""

"""Contexts and certificates."""

"""Valkey, as an example of a service that is not of the package."""

"""Shared by all HTTP functions: the app, reading request bodies, and access."""

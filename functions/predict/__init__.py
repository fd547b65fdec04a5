"""The function for one image and for the routes about the service."""

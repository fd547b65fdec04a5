"""The function that answers for one image, and for the service as a whole."""

"""The function for many images: a few in one request, or thousands in a batch."""

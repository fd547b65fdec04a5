"""Many images: a few in one request, thousands by way of the bucket."""

"""From an image's bytes to a prediction. No AWS, no HTTP, nothing stored."""

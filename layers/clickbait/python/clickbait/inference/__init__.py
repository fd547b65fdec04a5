"""An image's bytes to a verdict: pure, with no AWS, no HTTP and nothing stored."""

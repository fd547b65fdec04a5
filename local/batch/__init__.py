"""A stand-in for AWS Batch: its API, and its jobs as processes on this machine."""

"""Labelled images in, a model version out; runs anywhere Python does, and needs no AWS."""

import os

# Set before TensorFlow is imported, or without effect: only errors concern whoever trains.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


class Unusable(Exception):
    """Raise when arguments or images cannot make a model: one sentence that says what to change."""

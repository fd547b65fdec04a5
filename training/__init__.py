"""Labelled images in, a model version out. It runs wherever Python does, and needs no AWS."""

import os
from pathlib import Path

# These work only if they are set before TensorFlow is imported. Of its log, only errors matter.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


class Unusable(Exception):
    """Raised if no model can be trained; one sentence that says what to change."""


def write_whole(path: Path, data: bytes) -> None:
    """Write all of `data` or nothing: a killed job leaves no half file."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.replace(path)

"""A worker that a file may kill: `python -m tests.integration.killed_reader FUNCTION`.

It calls the handler of `batch.worker` or `retrain.app` with the SQS event on its standard input,
and prints the answer. A file that contains KILLER ends the process with SIGKILL, as the kernel and
Lambda do when memory or time runs out.
"""

import importlib
import json
import os
import signal
import sys
from typing import Any

from clickbait.inference import images

KILLER = b"ends the process that reads it"

original = images.read


def read(data: bytes, *args: Any) -> images.CheckedImage:
    if KILLER in data:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(data, *args)


if __name__ == "__main__":
    images.read = read
    app = importlib.import_module(f"functions.{sys.argv[1]}")
    print(json.dumps(app.handler(json.load(sys.stdin), None)))

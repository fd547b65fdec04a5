"""Memory of a function: blocks as large as an image's stay for the next image."""

import os
import platform
import subprocess
import sys

import pytest

from tests.local_stack import ROOT

IMAGES = 50

FAULTS = f"""
import resource
import functions

def read_image():
    return [b"x" * 900_000 for _ in range(4)]

read_image()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({IMAGES}):
    read_image()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_the_kernel_gives_memory_for_the_first_image_only():
    result = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(result.stdout) < IMAGES

"""The Lambda functions, one package each. They handle HTTP requests or events."""

import contextlib
import ctypes
import gc
import os

# A cold start is mostly imports. Each number is the time to start with the change, as a share of
# that without it: the median of 12 to 15 pairs of runs on one noisy machine.

# 0.96: otherwise Pydantic searches the metadata of every installed package for plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# numpy starts no threads of BLAS. Predictions use none, and the small matrices of `learn` are
# slower with them: on two busy cores, 60 images took 5.5 s of CPU with two threads, 0.4 s with one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
# Blocks of up to 4 MB stay with the process for the next image. By default glibc gives them back to
# the kernel after each one and takes them again by some 410 page faults: 1.3 of 12 ms of CPU.
with contextlib.suppress(OSError, AttributeError):  # Other systems have no mallopt.
    for option, size in ((M_MMAP_THRESHOLD, 4 << 20), (M_TRIM_THRESHOLD, 16 << 20)):
        ctypes.CDLL(None).mallopt(option, size)

# 0.93: imports create objects that stay, so they leave no garbage.
# `clickbait.web.app.lambda_handler` turns collection on again.
gc.disable()

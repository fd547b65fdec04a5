"""Small files that cost much are refused at once; the largest that are read stay within bounds."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from clickbait.errors import TooComplex, TooManyPixels
from clickbait.inference import images
from clickbait.settings import MAX_IMAGE_BYTES
from tests.samples import bombs
from tests.samples.drawn import encoded, picture

ROOT = Path(__file__).resolve().parents[4]
MOST_MEGABYTES = 260
"""Of a process that reads all of them one after another, and draws them: 20 are from drawing."""
MOST_SECONDS = 3.0
"""Twice the goal of 1.5 s, as other processes share the machine with the tests."""
ATTEMPTS = 4


@pytest.mark.parametrize("name", bombs.refused())
def test_a_file_that_would_take_long_is_refused_at_once_by_limit_and_value(name: str) -> None:
    data = bombs.refused()[name]
    assert len(data) <= MAX_IMAGE_BYTES
    start = time.thread_time()
    with pytest.raises((TooComplex, TooManyPixels)) as caught:
        images.read(data)
    assert time.thread_time() - start < 0.5
    limit, value = (caught.value.members[each] for each in ("limit", "value"))
    assert value > limit
    assert f"{limit:,}" in caught.value.detail
    assert f"{value:,}" in caught.value.detail or f"{value}" in caught.value.detail


def test_a_decode_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_SECONDS", -1.0)
    for kind in ("JPEG", "PNG"):
        with pytest.raises(TooComplex, match="takes too long to decode"):
            images.read(encoded(picture(), kind))


MEASURE = """
import json, sys, time
import functions  # It sets how memory is kept.
from clickbait.errors import Problem
from clickbait.inference import images
from tests.samples import bombs

for name, draw in getattr(bombs, sys.argv[1])().items():
    data = draw()
    open("/proc/self/clear_refs", "w").write("5")  # Begin to count the peak anew.
    start = time.thread_time()
    try:
        images.model_input(images.read(data))
        problem = ""
    except Problem as error:
        problem = error.detail
    seconds = time.thread_time() - start
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps([name, len(data), seconds, int(peak.split()[1]) // 1024, problem]))
"""


def measured(kind: str) -> list[tuple[str, int, float, int, str]]:
    """Name, bytes, CPU seconds, peak megabytes and problem of each file, read in one process."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "layers/clickbait/python")])
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, kind],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [tuple(json.loads(line)) for line in result.stdout.splitlines()]


def test_every_mode_in_every_shape_is_read_in_bounded_memory() -> None:
    files = measured("largest")
    assert len(files) == len(bombs.largest())
    assert [file for file in files if file[4] or file[3] > MOST_MEGABYTES] == []


def test_no_file_takes_a_decoder_long() -> None:
    files = measured("slow")
    assert [file for file in files if file[1] > MAX_IMAGE_BYTES] == []
    # Other processes slow a processor down, never up: the best of some attempts counts.
    long = {name for name, _, seconds, _, _ in files if seconds > MOST_SECONDS}
    for _ in range(ATTEMPTS - 1):
        if long:
            again = {name for name, _, seconds, _, _ in measured("slow") if seconds > MOST_SECONDS}
            long &= again
    assert long == set()
    unread = {
        name for name, _, _, _, problem in files if "takes too long" not in problem and problem
    }
    assert unread == set()


def test_a_long_screenshot_is_shrunk_and_keeps_its_picture() -> None:
    long = picture((700, 4_000)).resize((700, 20_000), Image.Resampling.BILINEAR)
    read = images.read(encoded(long, "PNG"))
    assert (read.width, read.height) == (700, 20_000)
    assert read.rgb.width * read.rgb.height < images.MOST_PIXELS_KEPT
    whole = long.resize((224, 224), Image.Resampling.BILINEAR)
    difference = images.model_input(read).astype(int) - images.np.asarray(whole, int)
    assert abs(difference).mean() < 2.5

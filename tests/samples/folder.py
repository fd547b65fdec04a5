"""A folder of labelled drawings to train on: `python -m tests.samples.folder FOLDER`."""

import sys
from pathlib import Path

from clickbait import LABELS
from tests.samples.classes import calm, loud
from tests.samples.drawn import encoded

EACH = 60
WRONG = 5
"""One image in WRONG has the other label, so that a model has mistakes to show."""


def draw(folder: Path, each: int = EACH) -> Path:
    """Draw `each` images of each of the two LABELS into class folders in `folder`."""
    for kind, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for i in range(each):
            picture = (calm, loud)[kind if i % WRONG else 1 - kind](2 * i + kind)
            (folder / label / f"{i:02d}.jpg").write_bytes(encoded(picture))
    return folder


if __name__ == "__main__":
    draw(Path(sys.argv[1]))

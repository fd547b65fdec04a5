"""One training: its images, its recipe, and where it keeps what an interruption must not lose."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.features import Store
from training.gather import Data
from training.recipe import Recipe

CHECKPOINT = ".checkpoint"
"""Folder that an interrupted training resumes from; removed when the version is finished."""


@dataclass
class Run:
    """Shared by all steps of a training, from the checked images to the written version."""

    images: Data
    recipe: Recipe
    folder: Path
    """The training's own folder; below it, CHECKPOINT."""
    start: Path | None = None
    """The version whose weights are the start. None: ImageNet's weights, or random ones."""
    store: Store | None = None
    """Keeps features beyond this training."""
    saved: Callable[[Path], None] = lambda file: None
    """Called with each file below `folder` that a resumed training needs, once it is complete."""
    watch: Callable[[dict[str, Any], int], None] = lambda row, epochs: None
    """Called with each row of history and the number of epochs when the epoch has ended; a resumed
    training first repeats the rows of earlier attempts."""
    measured_on: str = "test"
    """The side that the version is measured on. The test side only, once the version is final."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds that each stage took."""

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    @property
    def staging(self) -> Path:
        """The folder in which the version is written before it is published."""
        return self.checkpoint / "version"

    @property
    def networks(self) -> int:
        """The members and, if there are several, the student that learns from them."""
        return self.recipe.members + (self.recipe.members > 1)

    def state(self, member: int) -> Path:
        """The file with the state of one network's training."""
        return self.checkpoint / f"member-{member}.npz"

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note the seconds that `stage` takes."""
        began = time.monotonic()
        yield
        self.seconds[stage] = round(time.monotonic() - began, 1)

"""The progress of a training: a live bar on a terminal, plain lines in a log or a pipe."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


def say(text: str) -> None:
    """Print one line at once, so that a reader of the log never waits for a buffer."""
    print(text, flush=True)


def track(items: Sequence[T], title: str) -> Iterator[T]:
    """Iterate with a bar on a terminal, or print one line elsewhere."""
    live = sys.stdout.isatty()
    if not live:
        say(f"{title}: {len(items)}")
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not live) as bar:
        yield from bar.track(items)


class Epochs:
    """Epoch, loss, validation AUC and time left, of a training with `steps` steps in all.

    The time left is for all planned epochs; an early stop shortens it.
    """

    def __init__(self, steps: int, done: int = 0) -> None:
        self.steps, self.done, self.first = steps, done, done
        self.began = time.monotonic()
        self.now, self.auc = "epoch 1", ""
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, disable=not sys.stdout.isatty())
        self.task = self.bar.add_task(self.now, total=steps, completed=done)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def step(self, loss: float) -> None:
        """Count one more batch, with its loss."""
        self.done += 1
        text = f"{self.now} loss {loss:.4f}{self.auc}"
        self.bar.update(self.task, completed=self.done, description=text)

    def skip(self, steps: int) -> None:
        """Leave out `steps` batches: the training stopped early."""
        self.steps -= steps
        self.bar.update(self.task, total=self.steps)

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        """Report that one epoch of `epochs` ended, with its row of history."""
        seconds = time.monotonic() - self.began
        left = (self.steps - self.done) * seconds / max(self.done - self.first, 1)
        auc = "undefined" if row["val_auc"] is None else f"{row['val_auc']:.4f}"
        self.auc = f" validation AUC {auc}"
        self.now = f"member {row['member']} epoch {min(row['epoch'] + 1, epochs)}/{epochs}"
        if self.bar.disable:
            say(
                f"member {row['member']} epoch {row['epoch']}/{epochs} loss {row['loss']:.4f}"
                f"{self.auc} time left {int(left) // 60}:{int(left) % 60:02d}"
            )

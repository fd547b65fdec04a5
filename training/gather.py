"""Every image checked and reported, and each that can be used given its side once and for all."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.inference.images import INPUT_SIZE
from training import Unusable, sides
from training.progress import say, track
from training.sides import Record

PREPROCESSING = {
    "version": 1,
    "size": INPUT_SIZE,
    "color": "RGB",
    "resize": "bilinear",
    "range": [0, 255],
}
"""What `clickbait.inference.images.model_input` does; raise the version when it changes."""
SHOWN = 10
"""Images left out that are printed one by one; all of them are in the manifest."""


@dataclass
class Data:
    """Every image that was found, and pixels (n, 224, 224, 3) and labels (n,) of those that have a
    side.
    """

    records: list[Record]
    ancestors: list[Record]
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def side(self, name: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Pixels and labels of one side."""
        chosen = [i for i, r in enumerate(self.used) if r.side == name]
        return self.pixels[chosen], self.labels[chosen]

    def hashes(self, name: str) -> list[str]:
        """SHA-256 of the images of one side, in the order of `side`."""
        return [r.sha256 for r in self.used if r.side == name]

    @property
    def used(self) -> list[Record]:
        return [r for r in self.records if r.side]


def read(data: Path, groups: Path | None, start: Path | None) -> Data:
    """Check every image of `data`, say which are left out and why, give the others their sides."""
    if not data.is_dir():
        raise Unusable(f"--data {data} is not a folder.")
    if groups is None and (data / "groups.csv").is_file():
        groups = data / "groups.csv"
    try:
        group_of = sides.read_groups(groups) if groups else {}
        found = sides.find(data)
        known = list(manifests(start)) if start else []
    except (OSError, ValueError) as error:
        raise Unusable(str(error)) from None
    unknown = set(group_of) - {file for file, _ in found}
    if unknown:
        say(f"{groups} names {len(unknown)} files that are not there, such as {min(unknown)}.")
    return collect(found, lambda file: (data / file).read_bytes(), group_of, known)


def collect(
    found: Sequence[tuple[str, str]],
    read: Callable[[str], bytes],
    groups: Mapping[str, str],
    known: Iterable[Record] = (),
    validation: float = sides.SHARES["validation"],
) -> Data:
    """The same of images that can be anywhere: `found` are names and labels, `read` gives the bytes
    of a name (from several threads at once), `groups` the group of a name.

    What `known` (the manifests of earlier versions) has a side for keeps it, and is an ancestor
    where it is not found any more; `validation` is that side's share of everything new. Raises
    Unusable where a class has no usable image to train on, ValueError for a share that cannot be.
    """
    known = list(known)
    records, pixels = sides.load(Path(), groups, track(found, "Checking images"), read)
    loaded = [i for i, r in enumerate(records) if not r.reason]
    records = sides.assign_sides(records, known, validation)
    pixels = pixels[[k for k, i in enumerate(loaded) if records[i].side]]
    used = [r for r in records if r.side]
    labels = np.array([LABELS.index(r.label) for r in used], np.int64)
    here = {r.sha256 for r in used}
    _report(records)
    missing = set(LABELS) - {r.label for r in used if r.side == "train"}
    if missing:
        raise Unusable(
            f"The training side has no usable image of {' and '.join(sorted(missing))}; add some: "
            "20 of each class is the least that makes sense."
        )
    return Data(records, [r for r in known if r.side and r.sha256 not in here], pixels, labels)


def manifests(start: Path) -> Iterator[Record]:
    """What the version in the folder `start` and its ancestors used: it counts as used, also where
    the images are gone.
    """
    yield from sides.read_manifest(start / "manifest.csv")
    if (start / "ancestors.csv").exists():
        yield from sides.read_manifest(start / "ancestors.csv")


def _report(records: list[Record]) -> None:
    for side, of in sides.counts(records).items():
        say(f"{side:>10}: " + ", ".join(f"{n} {label}" for label, n in of.items()))
    out = [r for r in records if r.reason]
    if out:
        kinds = Counter(_kind(r) for r in out)
        listed = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        say(f"Left out: {len(out)} ({listed}); the manifest has the reason of each.")
    for r in out[:SHOWN]:
        say(f"  {r.file}: {r.reason}")


def _kind(record: Record) -> str:
    if "duplicate of" in record.reason:
        return record.reason.split()[0]
    return "in contradiction" if record.sha256 else "unreadable"

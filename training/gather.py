"""Find labelled images, check every one, and give each usable image its side for good."""

import hashlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from clickbait import LABELS
from clickbait.errors import Problem
from clickbait.inference import images
from clickbait.inference.images import INPUT_SIZE
from clickbait.keys import LABEL_OF_FOLDER
from clickbait.learning import copies
from clickbait.learning.copies import THUMBNAIL, Sketch
from clickbait.learning.manifest import Record
from training import Unusable, sides
from training.progress import say, track

THREADS = 4
"""Images checked at a time: Pillow lets other threads run, and a read over a network waits. More
threads would hold more decoded images at once (up to 75 MB each)."""
COMPARED = 1_000
"""Up to this many images, mirrored, cropped and captioned copies are found as well, and kept on one
side. It takes 6 microseconds a pair."""
RELATED = 10
"""A larger family of look-alikes shares a template, not a picture. On one side together, it might
leave the others without a class."""
OF_EXAM = "a copy of the exam image "
"""Begins the reason of images that are left out because the exam set has them."""
TRAIN, TEST = "train", "test"
"""Folders of a data set whose test images somebody has chosen."""
SHOWN = 10  # Images left out that are printed one by one; the manifest has all of them.

Found = Sequence[tuple[str, str]]
"""Names of images, each with its label."""


class Checked(NamedTuple):
    """A readable image: the SHA-256 of its file, its model input (size, size, 3), its thumbnail
    (THUMBNAIL, THUMBNAIL, 3) and its sketch. The last two do not depend on `size`."""

    sha256: str
    pixels: npt.NDArray[np.uint8]
    thumbnail: npt.NDArray[np.uint8]
    sketch: Sketch


@dataclass
class Data:
    """Every image that was found, and pixels (n, size, size, 3) and labels (n,) of those that have
    a side.
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
    def size(self) -> int:
        """The side of the images in pixels."""
        return self.pixels.shape[1]

    @property
    def used(self) -> list[Record]:
        return [r for r in self.records if r.side]


def preprocessing(size: int) -> dict[str, Any]:
    """The steps of `clickbait.inference.images.model_input`; raise the version when they change."""
    return {
        "version": 2,
        "bars": "cut",
        "size": size,
        "color": "RGB",
        "resize": "bilinear",
        "range": [0, 255],
    }


def read(
    data: Path,
    groups: Path | None,
    start: Path | None,
    size: int = INPUT_SIZE,
    *,
    unread: Collection[str] = (),
    validation: float = sides.SHARES["validation"],
) -> Data:
    """Find and check the images in the folder `data`, and give them their sides.

    If it has the folders TRAIN and TEST with class folders inside, the images of TEST are the test
    side. `validation` is the validation share of new images.

    `groups` is a `file,group` CSV (None: `data`/groups.csv, if there is one). Images that the
    version in the folder `start` used keep its sides. `size` is the side of the pixels.
    Files named in `unread` are ignored. Raises Unusable, saying what to change.
    """
    if not data.is_dir():
        raise Unusable(f"--data {data} is not a folder.")
    if groups is None and (data / "groups.csv").is_file():
        groups = data / "groups.csv"
    try:
        group_of = sides.read_groups(groups) if groups else {}
        found = [one for one in find(data) if one[0] not in unread]
        known = list(manifests(start)) if start else []
        known += [_tested(data, *one) for one in found if one[0].startswith(f"{TEST}/")]
    except (OSError, ValueError) as error:
        raise Unusable(str(error)) from None
    unknown = set(group_of) - {file for file, _ in found}.union(unread)
    if unknown:
        say(f"{groups} names {len(unknown)} files that do not exist, such as {min(unknown)}.")
    try:
        return collect(
            found,
            lambda file: (data / file).read_bytes(),
            group_of,
            known,
            validation,
            size=size,
        )
    except ValueError as error:
        raise Unusable(str(error)) from None


def _tested(data: Path, file: str, label: str) -> Record:
    """The record of an image of TEST. Near copies of it are found with all others."""
    sha256 = hashlib.sha256((data / file).read_bytes()).hexdigest()
    return Record(file=file, sha256=sha256, phash=f"{0:016x}", label=label, side="test")


def collect(
    found: Found,
    read: Callable[[str], bytes],
    groups: Mapping[str, str],
    known: Iterable[Record] = (),
    validation: float = sides.SHARES["validation"],
    *,
    size: int = INPUT_SIZE,
    exam: Sequence[tuple[str, Sketch]] = (),
) -> Data:
    """Check the images `found`, wherever they are, and give them their sides.

    `read` returns the bytes of a name (several threads call it at once); `groups` maps names to
    groups. An image that has a side in `known` (the manifests of earlier versions) keeps it; those
    of `known` that are not found are the ancestors. `validation` is the validation share of new
    images, `size` the side of the pixels. `exam` has the names and sketches of images that are only
    measured on: copies of them (re-saved, resized, cropped, mirrored, captioned) are left out.
    Raises Unusable if a class has no usable image to train on, ValueError for an impossible share.
    """
    known = list(known)
    records, pixels, sketches = load(track(found, "Checking images"), read, groups, size)
    loaded = [i for i, r in enumerate(records) if not r.reason]
    if exam or len(loaded) <= COMPARED:
        records = _without_exam(_related(records, loaded, sketches), loaded, sketches, exam)
    records = sides.assign_sides(records, known, validation)
    pixels = pixels[[k for k, i in enumerate(loaded) if records[i].side]]
    used = [r for r in records if r.side]
    labels = np.array([LABELS.index(r.label) for r in used], np.int64)
    here = {r.sha256 for r in used}
    _report(records)
    missing = set(LABELS) - {r.label for r in used if r.side == "train"}
    if missing:
        raise Unusable(
            f"The training side has no usable image of {' and '.join(sorted(missing))}. Add some: "
            "use at least 20 of each class."
        )
    return Data(records, [r for r in known if r.side and r.sha256 not in here], pixels, labels)


def manifests(start: Path) -> Iterator[Record]:
    """Records of the images that the version in the folder `start` and its ancestors used, even if
    the images are gone."""
    yield from sides.read_manifest(start / "manifest.csv")
    if (start / "ancestors.csv").exists():
        yield from sides.read_manifest(start / "ancestors.csv")


def find(folder: Path) -> list[tuple[str, str]]:
    """(path relative to `folder`, label) of every file below its class folders, sorted.

    The class folders may lie in the folders TRAIN and TEST of `folder`. Dot files are ignored.
    Raises ValueError if `folder` lacks one of the two classes, naming the folders that it has.
    """
    parts = [folder / name for name in (TEST, TRAIN) if (folder / name).is_dir()]
    places = [place for part in (folder, *parts) for place in part.iterdir() if place.is_dir()]
    found = [
        (path.relative_to(folder).as_posix(), LABEL_OF_FOLDER[place.name])
        for place in sorted(place for place in places if place.name in LABEL_OF_FOLDER)
        for path in sorted(place.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    missing = set(LABELS) - {label for _, label in found}
    if missing:
        have = ", ".join(sorted(p.name for p in folder.iterdir() if p.is_dir())) or "none"
        raise ValueError(
            f"{folder} has no images of {' and '.join(sorted(missing))}; folders found: {have}"
        )
    return found


def load(
    found: Iterable[tuple[str, str]],
    read: Callable[[str], bytes],
    groups: Mapping[str, str],
    size: int = INPUT_SIZE,
) -> tuple[list[Record], npt.NDArray[np.uint8], list[Sketch]]:
    """One record for each of `found`, in order, and the pixels (n, size, size, 3) and sketches of
    the usable ones.

    `read` returns the bytes of a name (several threads call it at once); no name becomes a path.
    Unreadable images, duplicates and near-duplicates, and copies under both labels get a `reason`
    and no pixels. Near-duplicates pass their group on to the one that stays, so that images that
    look alike never get different sides.
    """
    records: list[Record] = []
    readable: list[Checked] = []
    for file, label, checked in _checked(found, read, size):
        record = Record(file, label, group=groups.get(file, ""))
        if isinstance(checked, Problem):
            records.append(replace(record, reason=checked.detail))
            continue
        phash = f"{checked.sketch.hash:016x}"
        records.append(replace(record, sha256=checked.sha256, phash=phash))
        readable.append(checked)
    thumbnails = np.array([one.thumbnail for one in readable], np.uint8)
    records = _without_copies(records, thumbnails.reshape(-1, THUMBNAIL, THUMBNAIL, 3))
    with_hash = [r for r in records if r.sha256]
    kept = [one for one, r in zip(readable, with_hash, strict=True) if not r.reason]
    pixels = np.array([one.pixels for one in kept], np.uint8).reshape(-1, size, size, 3)
    return records, pixels, [one.sketch for one in kept]


def check(data: bytes, size: int = INPUT_SIZE) -> Checked:
    """Check one image for a network of that size; raises as `images.read` does."""
    image = images.read(data)
    # Copies are recognised at one size, so that manifests of all networks can be compared.
    pixels = images.model_input(image)
    small = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    sized = pixels if size == INPUT_SIZE else images.model_input(image, size)
    return Checked(images.sha256(data), sized, np.asarray(small), copies.sketch(pixels))


def _checked(
    found: Iterable[tuple[str, str]], read: Callable[[str], bytes], size: int
) -> Iterator[tuple[str, str, Checked | Problem]]:
    """Each of `found` with its `check` or the problem that it raised, in order, THREADS at a
    time."""

    def one(file: str) -> Checked | Problem:
        try:
            return check(read(file), size)
        except Problem as problem:
            return problem

    with ThreadPoolExecutor(THREADS) as pool:
        # At most THREADS ahead, so that the progress bar counts images that are nearly done.
        ahead: deque[tuple[str, str, Future[Checked | Problem]]] = deque()
        for name, label in found:
            ahead.append((name, label, pool.submit(one, name)))
            if len(ahead) > THREADS:
                first = ahead.popleft()
                yield *first[:2], first[2].result()
        for name, label, future in ahead:
            yield name, label, future.result()


def _related(records: list[Record], loaded: list[int], sketches: Sequence[Sketch]) -> list[Record]:
    """The records, of which those with the indices `loaded` have `sketches`, with one group for
    images that are copies of each other."""
    if len(loaded) > COMPARED:
        return records
    out = list(records)
    numbers = copies.groups(sketches, [records[i].group for i in loaded])
    families = defaultdict(list)
    for number, index in zip(numbers, loaded, strict=True):
        families[number].append(index)
    for family in families.values():
        named = [records[i].group for i in family if records[i].group]
        group = named[0] if named else f"copies of {min(records[i].sha256 for i in family)[:16]}"
        for i in family if 1 < len(family) <= RELATED else ():
            out[i] = replace(records[i], group=group)
    return out


def _without_exam(
    records: list[Record],
    loaded: list[int],
    sketches: Sequence[Sketch],
    exam: Sequence[tuple[str, Sketch]],
) -> list[Record]:
    """The records, with a reason for copies of exam images."""
    out = list(records)
    for i, j in copies.pairs([one for _, one in exam], sketches):
        out[loaded[j]] = replace(records[loaded[j]], reason=OF_EXAM + exam[i][0])
    return out


def _without_copies(records: list[Record], thumbnails: npt.NDArray[np.uint8]) -> list[Record]:
    """Give a reason to all but the first of each family of copies, or to all of a family whose
    labels contradict each other."""
    readable = [i for i, r in enumerate(records) if r.sha256]
    if not readable:
        return records
    hashes = np.array([int(records[i].phash, 16) for i in readable], np.uint64)
    numbers = copies.families(hashes, thumbnails)
    families = defaultdict(list)
    for number, index in zip(numbers, readable, strict=True):
        families[number].append(index)
    out = list(records)
    for family in families.values():
        first, *others = family
        group = next((records[i].group for i in family if records[i].group), "")
        out[first] = replace(records[first], group=records[first].group or group)
        if len({records[i].label for i in family}) > 1:
            names = ", ".join(records[i].file for i in family[:4])
            for i in family:
                out[i] = replace(records[i], reason=f"the same image under both labels: {names}")
            continue
        for i in others:
            same = records[i].sha256 == records[first].sha256
            kind = "duplicate" if same else "near-duplicate"
            out[i] = replace(records[i], reason=f"{kind} of {records[first].file}")
    return out


def _report(records: list[Record]) -> None:
    for side, of in sides.counts(records).items():
        say(f"{side:>10}: " + ", ".join(f"{n} {label}" for label, n in of.items()))
    out = [r for r in records if r.reason]
    if out:
        kinds = Counter(_kind(r) for r in out)
        listed = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        say(f"Left out: {len(out)} ({listed}). The manifest has the reasons.")
    for r in out[:SHOWN]:
        say(f"  {r.file}: {r.reason}")


def _kind(record: Record) -> str:
    if record.reason.startswith(OF_EXAM):
        return "in the exam set"
    if "duplicate of" in record.reason:
        return record.reason.split()[0]
    return "in contradiction" if record.sha256 else "unreadable"

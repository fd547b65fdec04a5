"""Labelled images: find them, check every one, and give each its side (train, validation or test)
once and for all."""

import csv
import hashlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from clickbait import LABELS
from clickbait.errors import Problem
from clickbait.inference import images
from clickbait.inference.images import NEAR_HASH_ALONE, hamming, perceptual_hash
from clickbait.keys import LABEL_OF_FOLDER

SIDES = ("train", "validation", "test")
SHARES = {"train": 0.65, "validation": 0.20, "test": 0.15}
THREADS = 4
"""Images checked at a time: Pillow lets other threads run, and a read over a network waits. More
would hold more large images decoded at once (75 MB each at the most)."""
TOLERANCE = 0.2
"""How far a side's share of a class may lie from its target, as a part of the target, before groups
are moved."""

NEAR_HASH = 10
"""Bits of 64 in which the perceptual hashes of near-duplicates may differ at most."""
NEAR_PIXELS = 6.0
"""Mean difference of near-duplicates' 16 x 16 thumbnails at most, of 255: flat drawings share
hashes, not colours."""
THUMBNAIL = 16


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a manifest: an image that is used (`side` set) or that is not (`reason` set)."""

    file: str
    label: str
    sha256: str = ""
    phash: str = ""
    group: str = ""
    side: str = ""
    reason: str = ""


FIELDS = tuple(Record.__dataclass_fields__)


def find(folder: Path) -> list[tuple[str, str]]:
    """(path relative to `folder`, label) of every file below its class folders, sorted; dot files
    are ignored.

    Raises ValueError where `folder` lacks one of the two classes, naming the folders that it has.
    """
    found = [
        (path.relative_to(folder).as_posix(), LABEL_OF_FOLDER[place.name])
        for place in sorted(p for p in folder.iterdir() if p.is_dir() and p.name in LABEL_OF_FOLDER)
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


Checked = tuple[str, str, npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def check(data: bytes) -> Checked:
    """SHA-256, perceptual hash, model input and 16 x 16 x 3 thumbnail of one image; raises as
    `images.read` does."""
    image = images.read(data)
    pixels = images.model_input(image)
    small = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return images.sha256(data), perceptual_hash(pixels), pixels, np.asarray(small)


def load(
    folder: Path,
    groups: Mapping[str, str],
    progress: Iterable[tuple[str, str]] | None = None,
    read: Callable[[str], bytes] | None = None,
) -> tuple[list[Record], npt.NDArray[np.uint8]]:
    """Read every image of `folder`; returns one record a file, and the pixels (n, 224, 224, 3) of
    the usable ones.

    `progress` is what `find` gives, or the same from elsewhere; `read` gives a file's bytes by its
    name there, from several threads at once: then `folder` is not looked at, and no name is made a
    path.

    Unreadable images, duplicates by bytes or by looks, and copies under both labels get a `reason`
    and no pixels. Usable records keep their order; near-duplicates lend their group to the one that
    stays, so looks never leak.
    """
    records: list[Record] = []
    pixels: list[npt.NDArray[np.uint8]] = []
    thumbs: list[npt.NDArray[np.uint8]] = []
    found = progress if progress is not None else find(folder)
    fetch = read or (lambda file: (folder / file).read_bytes())
    for file, label, checked in _checked(found, fetch):
        record = Record(file, label, group=groups.get(file, ""))
        if isinstance(checked, Problem):
            records.append(replace(record, reason=checked.detail))
            continue
        sha256, phash, array, thumb = checked
        records.append(replace(record, sha256=sha256, phash=phash))
        pixels.append(array)
        thumbs.append(thumb)
    records = _without_copies(records, np.array(thumbs, np.int16))
    readable = [r for r in records if r.sha256]
    kept = [i for i, r in enumerate(readable) if not r.reason]
    return records, np.array([pixels[i] for i in kept], np.uint8).reshape(-1, 224, 224, 3)


def _checked(
    found: Iterable[tuple[str, str]], fetch: Callable[[str], bytes]
) -> Iterator[tuple[str, str, Checked | Problem]]:
    """Each of `found` with what `check` says of it, in the same order, THREADS at a time."""

    def one(file: str) -> Checked | Problem:
        try:
            return check(fetch(file))
        except Problem as problem:
            return problem

    with ThreadPoolExecutor(THREADS) as pool:
        # No more ahead than there are threads: `progress` counts what is nearly done.
        ahead: deque[tuple[str, str, Future[Checked | Problem]]] = deque()
        for name, label in found:
            ahead.append((name, label, pool.submit(one, name)))
            if len(ahead) > THREADS:
                first = ahead.popleft()
                yield *first[:2], first[2].result()
        for name, label, future in ahead:
            yield name, label, future.result()


def _without_copies(records: list[Record], thumbs: npt.NDArray[np.int16]) -> list[Record]:
    """Mark all but the first of each family of copies, or all of a family whose labels contradict
    each other."""
    readable = [i for i, r in enumerate(records) if r.sha256]
    hashes = np.array([int(records[i].phash, 16) for i in readable], np.uint64)
    parent = list(range(len(readable)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i in range(1, len(readable)):
        for j in np.flatnonzero(hamming(hashes[:i], hashes[i]) <= NEAR_HASH):
            if np.abs(thumbs[i] - thumbs[j]).mean() <= NEAR_PIXELS:
                parent[max(root(i), root(int(j)))] = min(root(i), root(int(j)))

    families = defaultdict(list)
    for i, index in enumerate(readable):
        families[root(i)].append(index)
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


def assign_sides(
    records: list[Record],
    known: Iterable[Record] = (),
    validation: float = SHARES["validation"],
) -> list[Record]:
    """Give every usable record its side; groups stay together, classes stay balanced, nobody ever
    changes sides.

    An image or a group that `known` (an earlier manifest) has a side for keeps it, and a
    near-duplicate of such an image follows it; one that touches two sides is left out, with the
    reason. The side of anything new comes from a hash of its group or content, so that it is the
    same in a training that knows of no manifest; groups are moved only where a class's share would
    miss its target (`SHARES`) by more than `TOLERANCE`.

    `validation` is the validation share of the images that get a side now: the test share stays as
    it is, and the training side gives what it takes. Raises ValueError unless all three have one.
    """
    if not 0 < validation < 1 - SHARES["test"]:
        raise ValueError(
            f"a validation share lies between 0 and {1 - SHARES['test']}, not at {validation}"
        )
    old = [r for r in known if r.side]
    by_sha, by_group = defaultdict(set), defaultdict(set)
    for r in old:
        by_sha[r.sha256].add(r.side)
        if r.group:
            by_group[r.group].add(r.side)
    old_hashes = np.array([int(r.phash, 16) for r in old], np.uint64)

    units: dict[str, list[int]] = defaultdict(list)
    touched: dict[str, set[str]] = defaultdict(set)
    for i, r in enumerate(records):
        if r.reason:
            continue
        unit = f"group {r.group}" if r.group else r.sha256
        units[unit].append(i)
        touched[unit] |= by_sha.get(r.sha256, set()) | by_group.get(r.group, set())
        if r.sha256 not in by_sha and old:
            touched[unit] |= {old[j].side for j in _relatives(old_hashes, r.phash)}

    out = list(records)
    sides = {
        unit: next(iter(touched[unit]))
        if len(touched[unit]) == 1
        else _hashed_side(unit, validation)
        for unit in units
    }
    for unit in [u for u in units if len(touched[u]) > 1]:
        for i in units.pop(unit):
            keep = by_sha.get(records[i].sha256, set())
            if len(keep) == 1:
                out[i] = replace(records[i], side=next(iter(keep)))
            else:
                names = " and ".join(sorted(touched[unit]))
                out[i] = replace(records[i], reason=f"related to images of two sides: {names}")
    movable = {u for u in units if not touched[u]}
    _balance(sides, units, records, movable=movable, validation=validation)
    for unit, members in units.items():
        for i in members:
            out[i] = replace(records[i], side=sides[unit])
    return out


def _relatives(hashes: npt.NDArray[np.uint64], phash: str) -> Iterable[int]:
    """Places in `hashes` of images that look like one of `phash`, as far as hashes can tell."""
    one = np.uint64(int(phash, 16))
    if not NEAR_HASH_ALONE < np.bitwise_count(one) < 64 - NEAR_HASH_ALONE:
        return []  # next to no edges: flat images of any colour share such a hash
    return [int(i) for i in np.flatnonzero(hamming(hashes, one) <= NEAR_HASH_ALONE)]


def _hashed_side(unit: str, validation: float) -> str:
    draw = int.from_bytes(hashlib.sha256(f"side of {unit}".encode()).digest()[:8], "big") / 2**64
    if draw < SHARES["test"]:
        return "test"
    return "validation" if draw < SHARES["test"] + validation else "train"


def _balance(
    sides: dict[str, str],
    units: Mapping[str, list[int]],
    records: list[Record],
    *,
    movable: set[str],
    validation: float,
) -> None:
    """Move whole units, the most helpful move first, until each class has its share on each side
    within TOLERANCE."""
    counts = {
        u: np.array([sum(records[i].label == c for i in m) for c in LABELS])
        for u, m in units.items()
    }
    total = sum(counts.values(), np.zeros(len(LABELS)))
    # Another validation share is asked of what is new only: it is not made up for what has a side.
    new = sum((counts[u] for u in movable), np.zeros(len(LABELS)))
    more = (validation - SHARES["validation"]) * new
    target = {s: SHARES[s] * total for s in SIDES}
    target = target | {
        "train": target["train"] - more,
        "validation": target["validation"] + more,
    }
    now = {
        s: sum((counts[u] for u in units if sides[u] == s), np.zeros(len(LABELS))) for s in SIDES
    }
    scale = {s: np.maximum(target[s], 1) for s in SIDES}

    def off(side: str, n: npt.NDArray[np.float64]) -> float:
        return float((((n - target[side]) / scale[side]) ** 2).sum())

    while any(
        (abs(now[s] - target[s]) > np.maximum(TOLERANCE * target[s], 0.5)).any() for s in SIDES
    ):
        moves = (
            (
                off(a, now[a] - counts[u])
                + off(b, now[b] + counts[u])
                - off(a, now[a])
                - off(b, now[b]),
                u,
                b,
            )
            for u in sorted(movable)
            for a, b in ((sides[u], b) for b in SIDES if b != sides[u])
        )
        gain, unit, to = min(moves, default=(0.0, "", ""))
        if gain >= -1e-9:
            return
        now[sides[unit]] = now[sides[unit]] - counts[unit]
        now[to] = now[to] + counts[unit]
        sides[unit] = to


def read_groups(path: Path) -> dict[str, str]:
    """`file,group` CSV to a mapping; raises ValueError naming the columns it lacks."""
    with path.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        lacks = {"file", "group"} - set(rows.fieldnames or ())
        if lacks:
            raise ValueError(
                f"{path} lacks the column {' and '.join(sorted(lacks))}; it has {rows.fieldnames}"
            )
        return {row["file"]: row["group"] for row in rows}


def read_manifest(path: Path) -> Iterator[Record]:
    """The records of a `manifest.csv`."""
    with path.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            yield Record(**{field: row.get(field, "") for field in FIELDS})


def write_manifest(path: Path, records: Iterable[Record]) -> None:
    """Write `records` as CSV, one line an image, used or not."""
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(FIELDS)
        writer.writerows([getattr(r, f) for f in FIELDS] for r in records)


def digest(records: Iterable[Record]) -> str:
    """SHA-256 over the sorted (content hash, label, side) of the used images: what a training was
    made of."""
    lines = sorted(f"{r.sha256} {r.label} {r.side}" for r in records if r.side)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def counts(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """side -> label -> images."""
    tally = Counter((r.side, r.label) for r in records if r.side)
    return {side: {label: tally[side, label] for label in LABELS} for side in SIDES}

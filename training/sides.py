"""Which side an image is on (train, validation or test), given once and kept in the manifest."""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.inference.images import NEAR_HASH_ALONE, hamming
from clickbait.learning import manifest
from clickbait.learning.manifest import Record

SIDES = ("train", "validation", "test")
SHARES = {"train": 0.65, "validation": 0.20, "test": 0.15}
TOLERANCE = 0.2
"""A side's share of a class may differ from its target by this part of the target; beyond it,
groups are moved."""


def assign_sides(
    records: list[Record],
    known: Iterable[Record] = (),
    validation: float = SHARES["validation"],
) -> list[Record]:
    """Give every usable record its side: groups stay together, classes stay balanced, and no image
    ever changes sides.

    An image or a group that has a side in `known` (an earlier manifest) keeps it, and a
    near-duplicate of such an image follows it; one that is related to images of two sides is left
    out, with the reason. The side of a new image comes from a hash of its group or content, so that
    a training without a manifest gives it the same side. Groups move only if a class's share would
    miss its target (`SHARES`) by more than `TOLERANCE`.

    `validation` is the validation share of the images that get a side now: the test share stays,
    and the training side shrinks or grows. Raises ValueError unless all three have a share.
    """
    if not 0 < validation < 1 - SHARES["test"]:
        raise ValueError(
            f"a validation share is between 0 and {1 - SHARES['test']}, not {validation}"
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
    """Indices of the `hashes` that are near `phash`."""
    one = np.uint64(int(phash, 16))
    if not NEAR_HASH_ALONE < np.bitwise_count(one) < 64 - NEAR_HASH_ALONE:
        return []  # almost no edges: flat images of any colour share such a hash
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
    """Move whole units, the most helpful move first, until each side has its share of each class
    within TOLERANCE."""
    counts = {
        u: np.array([sum(records[i].label == c for i in m) for c in LABELS])
        for u, m in units.items()
    }
    total = sum(counts.values(), np.zeros(len(LABELS)))
    # A changed validation share applies to new images only; old ones do not make up for it.
    new = sum((counts[u] for u in movable), np.zeros(len(LABELS)))
    more = (validation - SHARES["validation"]) * new
    target = {s: SHARES[s] * total for s in SIDES}
    target["train"] -= more
    target["validation"] += more
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
    """File to group, from a `file,group` CSV; raises ValueError naming the columns it lacks."""
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
        yield from manifest.read(lines)


def write_manifest(path: Path, records: Iterable[Record]) -> None:
    """Write `records` as CSV, one line an image, used or not."""
    path.write_text(manifest.write(records), encoding="utf-8", newline="")


def counts(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """side -> label -> images."""
    tally = Counter((r.side, r.label) for r in records if r.side)
    return {side: {label: tally[side, label] for label in LABELS} for side in SIDES}

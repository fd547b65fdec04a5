"""Simulate owners: what a small update learns from 30 to 350 images, and which updates pass.

    python -m loadtest.owners cache --data DIR --cache DIR [--imagenet FILE]
    python -m loadtest.owners run --cache DIR --owners noisy,clear --sizes 60,120 --draws 20

The owners, by images and first champion:

- noisy: `data/owner`, another person's ratings. Champion: the shipped model.
- clear: `yb_`. Champion: logistic regression on the ImageNet network's features, trained only on
  the `tt_` training side. (The shipped network was trained on `yb_`, so its features would leak.)
- other: `data/owner`. Champion: as for `clear`.
- mild: `tt_`. Champion: built as for `clear`, but trained only on `data/owner`.
- planted: the images of `data/owner`, labelled by a rule: half of the shipped model's opinion, a
  random direction of the ImageNet features, and noise. Champion: the shipped model.
- shipped: the shipped model's own test side. Champion: the shipped model.
- shipped_tt: the `tt_` test and validation sides. Champion: as for `clear`.

FILE is the ImageNet network as a TFLite file. To create it, export the untrained
`training.network.build(Recipe())` with `training.export.classifier`. Features are computed once and
stored in DIR.
"""

import argparse
import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait.inference import images
from clickbait.inference.calibration import Calibration, sigmoid, uncertain_band
from clickbait.learning import decide, evidence, labels, update
from clickbait.learning.evidence import PROMISE
from clickbait.learning.features import FeatureReader
from clickbait.learning.head import Examples, Space, learn, unchanged

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "layers/baseline/baseline"
MANIFEST = ROOT / "training/baseline/manifest.csv"
REPLAYED = 800
HELD_OUT = 1_200
"""Maximum number of held-out images on which the true effect is measured."""
BETTER, WORSE = 0.003, 0.003
"""Changes in Brier score on held-out images. A model is truly better if its score falls by more
than BETTER and its AUC falls by less than 0.01. It is truly worse if its score rises by more than
WORSE or its AUC falls by more than 0.02."""

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Owner:
    """The owner's images, the champion's world and the images to replay. If `world` is None, the
    owner's held-out images are the world."""

    images: Examples
    world: Examples | None
    replay: Examples


def cache(data: Path, folder: Path, imagenet: Path | None) -> None:
    """Store features and logits of every image from the shipped and the ImageNet network."""
    folder.mkdir(parents=True, exist_ok=True)
    networks = {"shipped": SHIPPED / "model.tflite", "imagenet": imagenet}
    for part in ("thumbnails", "owner"):
        files = sorted((data / part).rglob("*.jpg"))
        for name, path in networks.items():
            out = folder / f"{part}-{name}.npz"
            if path is None or out.exists():
                continue
            started = time.perf_counter()
            reader = FeatureReader(path.read_bytes())
            outputs = reader.read(images.model_input(images.read(f.read_bytes())) for f in files)
            names = [f.relative_to(data / part).as_posix() for f in files]
            np.savez(out, names=names, features=outputs.features, logits=outputs.logits)
            print(f"{out}: {len(files)} images in {time.perf_counter() - started:.0f} s")


def owners(folder: Path) -> dict[str, Owner]:
    """Return every owner by name, from the features in `folder`."""
    calibration = json.loads((SHIPPED / "metadata.json").read_text())["calibration"]
    shipped = Calibration.from_dict(calibration)
    with MANIFEST.open(newline="") as lines:
        records = {row["file"]: row for row in csv.DictReader(lines)}
    own, home = (np.load(folder / f"{part}-shipped.npz") for part in ("owner", "thumbnails"))
    side = np.array([records[n]["side"] for n in home["names"]])
    source = np.array([n.split("/")[1][:2] for n in home["names"]])
    group = np.array([records[n]["group"] or n for n in home["names"]])
    rated = np.array([n.startswith("clickbait") for n in own["names"]])
    home_units = np.unique(group, return_inverse=True)[1].astype(np.int64)

    def at(*chosen: npt.NDArray[np.bool_]) -> Indices:
        return np.flatnonzero(np.logical_and.reduce(chosen))

    def examples(z: Floats, features: Any, names: Any, units: Any = None) -> Examples:
        labelled = np.array([n.startswith("clickbait_fake") for n in names], np.int64)
        return Examples(features, z, labelled, np.arange(len(z)) if units is None else units)

    owner_images = examples(
        own["logits"][rated] / shipped.temperature + shipped.bias,
        own["features"][rated],
        own["names"][rated],
    )
    home_images = examples(
        home["logits"] / shipped.temperature + shipped.bias,
        home["features"],
        home["names"],
        home_units,
    )
    plain_own, plain_home = (
        np.load(folder / f"{part}-imagenet.npz")["features"] for part in ("owner", "thumbnails")
    )
    plain_own = plain_own[rated]
    both = np.concatenate([plain_home, plain_own])
    truth = np.concatenate([home_images.labels, owner_images.labels])

    def champion(trained_on: Indices) -> tuple[Examples, Examples]:
        """Both collections as examples, with logits of a champion trained on `trained_on`."""
        z = _champion(both, truth, trained_on)
        return (
            Examples(plain_home, z[: len(home_images)], home_images.labels, home_images.units),
            Examples(plain_own, z[len(home_images) :], owner_images.labels, owner_images.units),
        )

    tt = source == "tt"
    home_tt, own_tt = champion(at(tt, side == "train"))
    rng = np.random.default_rng(5)
    half = rng.random(len(owner_images)) < 0.7
    home_own, own_own = champion(len(home_images) + np.flatnonzero(half))
    test, train = at(side == "test"), at(side == "train")
    return {
        "noisy": Owner(owner_images, home_images[test], home_images[train]),
        "clear": Owner(
            home_tt[at(~tt)], home_tt[at(tt, side == "test")], home_tt[at(tt, side == "train")]
        ),
        "other": Owner(own_tt, home_tt[at(tt, side == "test")], home_tt[at(tt, side == "train")]),
        "mild": Owner(
            home_own[at(tt)], own_own[np.flatnonzero(~half)[:400]], own_own[np.flatnonzero(half)]
        ),
        "planted": Owner(_planted(owner_images, plain_own), home_images[test], home_images[train]),
        "shipped": Owner(home_images[test], None, home_images[train]),
        "shipped_tt": Owner(
            home_tt[at(tt, (side == "test") | (side == "validation"))],
            None,
            home_tt[at(tt, side == "train")],
        ),
    }


def simulate(
    owner: Owner, size: int, draw: int, own_weight: str = "balanced", wrong: float = 0.0
) -> dict[str, Any]:
    """Run one small update on `size` images of an owner, with a share `wrong` of labels flipped.

    Returns the decision's figures and the true effect on the held-out images.
    """
    rng = np.random.default_rng(1000 * size + draw)
    order = rng.permutation(len(owner.images))
    own, kept = owner.images[order[:size]], owner.images[order[size : size + HELD_OUT]]
    flipped = rng.random(size) < wrong
    own = Examples(own.features, own.logits, own.labels ^ flipped, own.units)
    replay = owner.replay[rng.choice(len(owner.replay), min(REPLAYED, len(owner.replay)), False)]
    world = owner.world or kept
    started = time.perf_counter()
    space, nothing = Space(own, replay), own[np.zeros(0, np.int64)]
    live = update.champion_predictions(own, nothing, world, replay, space=space, champion=None)
    inputs = update.Inputs(own, nothing, world, replay, space, live)
    result, head = update.attempt(inputs, own_weight)
    decision, firmness = result.decision, result.firmness
    candidate = evidence.out_of_fold(own, replay, own_weight, space=space, firmness=firmness)
    champion = live.own
    low, high, _ = evidence.band(candidate, champion)
    worlds = (evidence.by_head(head, own, world), live.world)
    seconds = time.perf_counter() - started
    usual = uncertain_band(PROMISE)
    after = evidence.figures(kept.labels, evidence.by_head(head, own, kept), (low, high))
    before = evidence.figures(kept.labels, evidence.by_anchor(own, kept), usual)
    brier, auc = after["brier"] - before["brier"], after["auc"] - before["auc"]
    return {
        "promoted": decision.passed,
        "failed": [c.name for c in decision.checks if not c.passed],
        "better": brier < -BETTER and auc > -0.01,
        "worse": brier > WORSE or auc < -0.02,
        "before": before,
        "after": after,
        "home before": evidence.figures(world.labels, worlds[1], usual),
        "home after": evidence.figures(world.labels, worlds[0], (low, high)),
        "estimate": {
            "candidate": evidence.figures(own.labels, candidate, (low, high)),
            "champion": evidence.figures(own.labels, champion, usual),
        },
        "choice": head.choice,
        "unchanged": head.shares[0],
        "firmness": firmness,
        "seconds": seconds,
    }


def days(owner: Owner, draw: int, first: int = 60, more: int = 10, count: int = 20) -> list[float]:
    """Simulate `count` days: `first` images, then `more` each day.

    Returns the number of promotions, then the last champion's changes against the first: AUC,
    Brier score and unsure share on held-out images, and AUC on the world.
    """
    rng = np.random.default_rng(draw)
    order = rng.permutation(len(owner.images))
    size = first + more * count
    kept = owner.images[order[size : size + HELD_OUT]]
    replay = owner.replay[rng.choice(len(owner.replay), min(REPLAYED, len(owner.replay)), False)]
    world = owner.world or kept
    champion, learned, promoted = unchanged(owner.images.features.shape[1]), 0, 0
    usual = band = uncertain_band(PROMISE)
    for so_far in range(first, size + 1, more):
        own = owner.images[order[:so_far]]
        space = Space(own, replay)
        head = learn(own, replay, space=space)
        candidate = evidence.out_of_fold(own, replay, space=space)
        live = evidence.by_anchor(own, own)
        if learned:
            live = evidence.out_of_fold(
                own, replay, learned=np.arange(so_far) < learned, space=space
            )
        low, high, _ = evidence.band(candidate, evidence.by_anchor(own, own))
        decision = decide.decide(
            decide.HeldOut(own.labels, own.units, candidate, live),
            decide.HeldOut(
                world.labels,
                world.units,
                evidence.by_head(head, own, world),
                evidence.by_head(champion, own, world),
                evidence.by_anchor(own, world) if learned else None,
            ),
            head,
            band=(low, high),
            champion_band=band if learned else usual,
            champion_is_anchor=not learned,
        )
        if decision.passed:
            champion, learned, promoted, band = head, so_far, promoted + 1, (low, high)
    figures = [
        (
            evidence.figures(e.labels, evidence.by_head(champion, own, e), band),
            evidence.figures(e.labels, evidence.by_anchor(own, e), usual),
        )
        for e in (kept, world)
    ]
    (after, before), (world_after, world_before) = figures
    return [
        promoted,
        after["auc"] - before["auc"],
        after["brier"] - before["brier"],
        after["unsure"] - before["unsure"],
        world_after["auc"] - world_before["auc"],
    ]


def swapped(owner: Owner, size: int, draw: int) -> dict[str, bool]:
    """Return whether the label check rejects an owner's labels, as they are and swapped."""
    order = np.random.default_rng(1000 * size + draw).permutation(len(owner.images))
    own = owner.images[order[:size]]
    keys, p = [str(i) for i in range(size)], sigmoid(own.logits)
    return {
        "honest": labels.check(keys, own.labels, p).rejected,
        "swapped": labels.check(keys, 1 - own.labels, p).rejected,
    }


def _planted(owner_images: Examples, features: Any) -> Examples:
    rng = np.random.default_rng(11)
    x = features.astype(np.float64)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-3)
    projected = x @ np.linalg.svd(x[::4], full_matrices=False)[2][:30].T
    projected /= projected.std(axis=0)
    rule = projected @ (rng.standard_normal(30) / np.sqrt(1 + np.arange(30)))
    opinion = (owner_images.logits - owner_images.logits.mean()) / owner_images.logits.std()
    taste = 0.5 * opinion + rule / rule.std() + 0.5 * rng.standard_normal(len(owner_images))
    return Examples(
        owner_images.features,
        owner_images.logits,
        (taste > np.median(taste)).astype(np.int64),
        owner_images.units,
    )


def _champion(features: Any, truth: npt.NDArray[np.int64], trained_on: Indices) -> Floats:
    """Calibrated logits (n,) of a logistic regression (ridge 1) trained on the images with indices
    `trained_on` and calibrated on its leave-one-out logits."""
    from clickbait.learning import head as h

    blank = Examples(features, np.zeros(len(truth)), truth, np.arange(len(truth)))
    rows = h.Space(blank[trained_on], blank[trained_on]).rows(blank)
    rows[:, 0] = 0.0
    known, penalty = rows[trained_on], np.r_[1.0, 1e-6, np.ones(rows.shape[1] - 2)]
    start = np.zeros(rows.shape[1])
    start[0] = 1.0
    theta, hessian = h._solve(
        known, truth[trained_on].astype(np.float64), np.ones(len(trained_on)), penalty, start
    )
    out = h._leave_out(known, blank[trained_on], theta, hessian)
    pair = np.column_stack([out, np.ones(len(out))])
    slope, bias = h._solve(
        pair,
        truth[trained_on].astype(np.float64),
        np.ones(len(out)),
        np.full(2, 1e-6),
        np.array([1.0, 0.0]),
    )[0]
    logits: Floats = slope * (rows @ theta) + bias
    return logits


def table(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return means over the draws, and the shares of promoted and wrongly promoted updates."""
    flag = {k: np.array([r[k] for r in rows]) for k in ("promoted", "better", "worse")}

    def mean(part: str, figure: str) -> float:
        return float(np.mean([r[part][figure] for r in rows]))

    rises = [r["after"]["brier"] - r["before"]["brier"] for r in rows if r["promoted"]]
    return {
        "promoted": float(flag["promoted"].mean()),
        "better": float(flag["better"].mean()),
        "promoted of better": float(flag["promoted"][flag["better"]].mean())
        if flag["better"].any()
        else float("nan"),
        "wrongly promoted": float((flag["promoted"] & flag["worse"]).mean()),
        "largest rise": max(rises, default=float("nan")),
        **{
            f"{what} {when}": mean(when, what)
            for what in ("auc", "accuracy", "brier", "ece", "unsure")
            for when in ("before", "after")
        },
        "home auc": mean("home after", "auc") - mean("home before", "auc"),
        "home accuracy": mean("home after", "accuracy") - mean("home before", "accuracy"),
        "home brier": mean("home after", "brier") - mean("home before", "brier"),
        "home unsure": mean("home after", "unsure") - mean("home before", "unsure"),
        "estimated auc": float(
            np.mean(
                [r["estimate"]["candidate"]["auc"] - r["estimate"]["champion"]["auc"] for r in rows]
            )
        ),
        "seconds": float(np.mean([r["seconds"] for r in rows])),
    }


def show(name: str, size: int, rows: list[dict[str, Any]]) -> None:
    t = table(rows)
    why: dict[str, int] = {}
    for r in rows:
        for f in r["failed"]:
            why[f] = why.get(f, 0) + 1
    print(
        f"{name:16s}{size:4d} promoted {t['promoted']:.2f} better {t['better']:.2f} "
        f"promoted of better {t['promoted of better']:.2f} wrong {t['wrongly promoted']:.2f} "
        f"rise {t['largest rise']:+.4f} | AUC {t['auc before']:.3f}>{t['auc after']:.3f} "
        f"acc {t['accuracy before']:.3f}>{t['accuracy after']:.3f} "
        f"Brier {t['brier before']:.3f}>{t['brier after']:.3f} "
        f"ECE {t['ece before']:.2f}>{t['ece after']:.2f} "
        f"unsure {t['unsure before']:.2f}>{t['unsure after']:.2f} | home AUC {t['home auc']:+.3f} "
        f"acc {t['home accuracy']:+.3f} Brier {t['home brier']:+.3f} "
        f"unsure {t['home unsure']:+.2f} "
        f"| est AUC {t['estimated auc']:+.3f} {t['seconds']:.1f} s {why}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("cache", "run", "days"))
    parser.add_argument("--data", type=Path, help="folder with thumbnails/ and owner/, to cache")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--imagenet", type=Path)
    parser.add_argument("--owners", default="noisy,clear,other,mild,planted,shipped,shipped_tt")
    parser.add_argument("--sizes", default="30,60,120,200,350")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--own-weight", default="balanced")
    parser.add_argument("--wrong", type=float, default=0.0, help="share of wrong labels")
    parser.add_argument(
        "--out", type=Path, help="folder for JSON files with the figures of every draw"
    )
    parser.add_argument("--labels", action="store_true", help="simulate the label check instead")
    given = parser.parse_args()
    if given.what == "cache":
        if given.data is None:
            parser.error("cache needs --data")
        cache(given.data, given.cache, given.imagenet)
        return
    by_name = owners(given.cache)
    for name in given.owners.split(","):
        if given.what == "days":
            each = np.array([days(by_name[name], d) for d in range(given.draws)])
            print(f"{name:16s} promotions, own AUC, Brier, unsure, home AUC:", each.mean(axis=0))
            continue
        for size in map(int, given.sizes.split(",")):
            owner = by_name[name]
            if len(owner.images) < size + 100:
                continue
            if given.labels:
                stopped = [swapped(owner, size, d) for d in range(10 * given.draws)]
                share = {k: float(np.mean([s[k] for s in stopped])) for k in ("honest", "swapped")}
                print(f"{name:16s}{size:4d} label check stops {share}", flush=True)
                continue
            rows = [
                simulate(owner, size, d, given.own_weight, given.wrong) for d in range(given.draws)
            ]
            show(name, size, rows)
            if given.out:
                given.out.mkdir(parents=True, exist_ok=True)
                file = given.out / f"{name}-{size}-{given.own_weight}-{given.wrong:g}.json"
                file.write_text(json.dumps(rows, default=float))


if __name__ == "__main__":
    main()

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

No limit was tuned on the other owners:

- close: `yb_`. Champion: as for `mild`, so it has seen neither network nor images of `yb_`.
- far: `tt_`. Champion: as for `clear`, but trained only on two thirds of `yb_`.
- colour: the images of `data/owner`, labelled by the shipped model's opinion, the saturation,
  darkness and warmth of an image, and noise; 45% clickbait. Champion: the shipped model.
- planted_mild: as `planted`, but mostly the shipped model's opinion; 60% clickbait.
- same_noisy: the third of `data/owner` that the champion of `mild` was not trained on. Champion: as
  for `mild`, so it already has this taste.

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
from clickbait.learning import evidence, labels, update
from clickbait.learning.evidence import PROMISE
from clickbait.learning.features import FeatureReader
from clickbait.learning.head import Examples, Space, unchanged

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "layers/baseline/baseline"
MANIFEST = ROOT / "training/baseline/manifest.csv"
NAMES = (
    *("noisy", "clear", "other", "mild", "planted", "shipped", "shipped_tt"),
    *("close", "far", "colour", "planted_mild", "same_noisy"),
)
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


def cache(data: Path, folder: Path, imagenet: Path | None, version: Path) -> None:
    """Store features and logits of every image from the shipped and the ImageNet network. The
    shipped one is in the folder `version`."""
    folder.mkdir(parents=True, exist_ok=True)
    networks = {"shipped": version / "model.tflite", "imagenet": imagenet}
    for part in ("thumbnails", "owner"):
        files = sorted((data / part).rglob("*.jpg"))
        for name, path in networks.items():
            out = folder / f"{part}-{name}.npz"
            if path is None or out.exists():
                continue
            started = time.perf_counter()
            reader = FeatureReader(path.read_bytes())
            pixels = [images.model_input(images.read(f.read_bytes()), reader.size) for f in files]
            outputs = reader.read(pixels)
            names = [f.relative_to(data / part).as_posix() for f in files]
            colours = np.array([_colours(p) for p in pixels])
            np.savez(
                out,
                names=names,
                features=outputs.features,
                logits=outputs.logits,
                colours=colours,
            )
            print(f"{out}: {len(files)} images in {time.perf_counter() - started:.0f} s")


def owners(folder: Path, version: Path, world: str) -> dict[str, Owner]:
    """Return every owner by name, from the features in `folder`, which the network of the folder
    `version` computed. `world` is the side of the shipped images that are measured on."""
    calibration = json.loads((version / "metadata.json").read_text())["calibration"]
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
    test, train, yb = at(side == world), at(side == "train"), at(~tt)
    shuffled = np.random.default_rng(8).permutation(np.unique(home_units[yb]))
    known = np.isin(home_units, shuffled[: int(0.65 * len(shuffled))])
    home_yb, _ = champion(at(~tt, known))
    opinion = _standardised(owner_images.logits)
    rng = np.random.default_rng(21)
    bright, saturated, _, warm = _standardised(own["colours"][rated]).T
    noise = rng.standard_normal(len(opinion))
    colour = 0.7 * opinion + 0.8 * saturated - 0.6 * bright + 0.4 * warm + 0.5 * noise
    rule = _direction(plain_own, 60, rng)
    mostly = opinion + 0.6 * rule + 0.6 * rng.standard_normal(len(opinion))
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
        "close": Owner(
            home_own[yb], own_own[np.flatnonzero(~half)[:400]], own_own[np.flatnonzero(half)]
        ),
        "far": Owner(home_yb[at(tt)], home_yb[at(~tt, ~known)], home_yb[at(~tt, known)]),
        "colour": Owner(
            _labelled(owner_images, colour, 0.45), home_images[test], home_images[train]
        ),
        "planted_mild": Owner(
            _labelled(owner_images, mostly, 0.60), home_images[test], home_images[train]
        ),
        "same_noisy": Owner(own_own[np.flatnonzero(~half)], None, own_own[np.flatnonzero(half)]),
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
    decision = result.decision
    candidate = result.predictions or live.own
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
        "kept": result.kept,
        "seconds": seconds,
    }


def days(
    owner: Owner,
    draw: int,
    *,
    own_weight: str = "balanced",
    first: int = 60,
    more: int = 10,
    count: int = 20,
) -> list[float]:
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
    usual, nothing, kept_taste = uncertain_band(PROMISE), owner.images[np.zeros(0, np.int64)], 1.0
    band = usual
    for so_far in range(first, size + 1, more):
        own = owner.images[order[:so_far]]
        space = Space(own, replay)
        on_own = evidence.by_anchor(own, own)
        if learned:
            known = np.arange(so_far) < learned
            on_own = evidence.out_of_fold(
                own, replay, own_weight, learned=known, space=space, kept=kept_taste
            )
        live = update.Live(on_own, evidence.by_head(champion, own, world), band, not learned)
        inputs = update.Inputs(own, nothing, world, replay, space, live)
        result, head = update.attempt(inputs, own_weight)
        if result.decision.passed and result.band:
            champion, learned, promoted, kept_taste = head, so_far, promoted + 1, result.kept
            band = (result.band["low"], result.band["high"])
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
    rule = _direction(features, 30, rng)
    opinion = _standardised(owner_images.logits)
    taste = 0.5 * opinion + rule + 0.5 * rng.standard_normal(len(owner_images))
    return _labelled(owner_images, taste, 0.5)


def _direction(features: Any, components: int, rng: np.random.Generator) -> Floats:
    """A random direction of the first principal components of features (n, d), standardised."""
    x = features.astype(np.float64)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-3)
    projected = x @ np.linalg.svd(x[::4], full_matrices=False)[2][:components].T
    projected /= projected.std(axis=0)
    rule = projected @ (rng.standard_normal(components) / np.sqrt(1 + np.arange(components)))
    out: Floats = rule / rule.std()
    return out


def _labelled(images: Examples, taste: Floats, clickbait: float) -> Examples:
    """The images with a share `clickbait` of label 1: those with the highest `taste` (n,)."""
    labels = (taste > np.quantile(taste, 1 - clickbait)).astype(np.int64)
    return Examples(images.features, images.logits, labels, images.units)


def _standardised(values: Any) -> Floats:
    out: Floats = (values - values.mean(axis=0)) / values.std(axis=0)
    return out


def _colours(pixels: npt.NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Brightness, saturation, contrast and warmth of an image (side, side, 3)."""
    p = pixels[::4, ::4].astype(np.float64)
    spread = p.max(axis=-1) - p.min(axis=-1)
    return p.mean(), spread.mean(), p.std(), (p[..., 0] - p[..., 2]).mean()


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
    parser.add_argument(
        "--shipped", type=Path, default=SHIPPED, help="a version to take for the shipped one"
    )
    parser.add_argument(
        "--world",
        choices=("test", "validation"),
        default="test",
        help="the side of the shipped images to measure `noisy` and the like on: to choose among "
        "networks, not the test side",
    )
    parser.add_argument("--owners", default=",".join(NAMES))
    parser.add_argument("--sizes", default="30,60,120,200,350")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
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
        cache(given.data, given.cache, given.imagenet, given.shipped)
        return
    by_name = owners(given.cache, given.shipped, given.world)
    draws = range(given.first, given.first + given.draws)
    for name in given.owners.split(","):
        if given.what == "days":
            each = np.array([days(by_name[name], d, own_weight=given.own_weight) for d in draws])
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
            rows = [simulate(owner, size, d, given.own_weight, given.wrong) for d in draws]
            show(name, size, rows)
            if given.out:
                given.out.mkdir(parents=True, exist_ok=True)
                file = given.out / f"{name}-{size}-{given.own_weight}-{given.wrong:g}.json"
                file.write_text(json.dumps(rows, default=float))


if __name__ == "__main__":
    main()

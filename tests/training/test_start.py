"""A fine-tuning starts from the newest last layer, and is measured on images it has not seen."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clickbait import LABELS
from clickbait.inference.calibration import Calibration
from clickbait.inference.classifier import Classifier, input_size
from clickbait.learning.features import FeatureReader
from clickbait.learning.head import CHOICES, Head
from clickbait.learning.patch import describe, patch
from clickbait.learning.replay import FILE
from clickbait.settings import CHECKOUT_BASELINE
from tests.training.conftest import network_of
from training import owner, sides, version, world
from training.owner import Own
from training.sides import Record
from training.start import Champion

N = 24
RNG = np.random.default_rng(3)
SIZE = input_size(version.metadata_of(version.BASELINE))
PIXELS = RNG.integers(0, 256, (N, SIZE // 8, SIZE // 8, 3), np.uint8)
PIXELS = PIXELS.repeat(8, axis=1).repeat(8, axis=2)
SIDES = ["train"] * 14 + ["validation"] * 5 + ["test"] * 5
RECORDS = [
    Record(f"train/{LABELS[i % 2]}/{i}.png", LABELS[i % 2], sha256=f"{i:064x}", side=side)
    for i, side in enumerate(SIDES)
]
NONE = np.zeros(N, bool)


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped version with all its files."""
    folder = tmp_path_factory.mktemp("anchor") / "version"
    shutil.copytree(version.BASELINE, folder, ignore=shutil.ignore_patterns("plots", "world.npz"))
    shutil.copytree(CHECKOUT_BASELINE, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def small(anchor: Path, tmp_path_factory: pytest.TempPathFactory) -> Champion:
    """A small update of the shipped version that learned from all images but the last two."""
    model, metadata = (anchor / "model.tflite").read_bytes(), version.metadata_of(anchor)
    taste = np.random.default_rng(0).normal(0, 0.02, FeatureReader(model).dimensions)
    head = Head(0.8, 0.3, taste, tuple(1 / len(CHOICES) for _ in CHOICES))
    patched = patch(model, Calibration.from_dict(metadata["calibration"]), head)
    recipe = {"own_weight": "balanced", "kept": 1.0, "choice": CHOICES[0], "slope": 0.8}
    changes = {
        "model_version": "20261126-000000-abcdef",
        "anchor": metadata["model_version"],
        "small_update": recipe,
    }
    folder = tmp_path_factory.mktemp("small") / "version"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(patched.model)
    (folder / "metadata.json").write_text(json.dumps(describe(patched, metadata, changes)))
    learned = [replace(r, side="train") for r in RECORDS[:-2]]
    sides.write_manifest(folder / "manifest.csv", learned)
    return Champion.of(folder, {metadata["model_version"]: anchor}.__getitem__)


def logits(folder: Path) -> np.ndarray:
    """Calibrated logits of the network whose weights are in `folder`."""
    raw = np.ravel(network_of(folder)(PIXELS[:6].astype(np.float32), training=False))
    calibration = version.calibration_of(folder)
    return raw / calibration.temperature + calibration.bias


def test_the_start_s_logits_are_those_of_a_small_update(
    small: Champion, anchor: Path, tmp_path: Path
) -> None:
    unknown = replace(small, anchor=tmp_path / "anchor")
    shutil.copytree(anchor, unknown.anchor, ignore=shutil.ignore_patterns(FILE))
    assert not unknown.relearned and unknown.known == small.folder
    start = unknown.start(RECORDS[:14], PIXELS[:14], NONE[:14], tmp_path / "start")
    live = Classifier.load(small.folder)
    raw, _ = live.logits(PIXELS[:6])
    expected = raw / live.calibration.temperature + live.calibration.bias
    assert logits(start) == pytest.approx(expected, abs=0.02)
    assert np.abs(logits(anchor) - expected).max() > 0.1
    assert version.version_of(start) == live.version
    assert version.file_of(start) == (small.folder / "model.tflite").read_bytes()


def test_another_champion_is_the_start_itself(anchor: Path, tmp_path: Path) -> None:
    champion = Champion.of(anchor, lambda _: tmp_path)
    assert not champion.is_small_update
    assert champion.start(RECORDS, PIXELS, NONE, tmp_path / "start") == anchor
    assert not (tmp_path / "start").exists()


def test_the_start_knows_nothing_of_images_that_are_evidence(
    small: Champion, anchor: Path, tmp_path: Path
) -> None:
    assert small.relearned and small.known == anchor
    first = small.start(RECORDS[:14], PIXELS[:14], NONE[:14], tmp_path / "first")
    assert np.abs(logits(first) - logits(anchor)).max() > 0.01
    # Only the two images that the small update did not learn from make no difference.
    more = [*RECORDS[:14], replace(RECORDS[22], side="train")]
    again = small.start(more, PIXELS[[*range(14), 22]], NONE[:15], tmp_path / "again")
    assert logits(again) == pytest.approx(logits(first), abs=1e-6)
    fewer = small.start(RECORDS[:12], PIXELS[:12], NONE[:12], tmp_path / "fewer")
    assert np.abs(logits(fewer) - logits(first)).max() > 1e-4


def test_a_fine_tuning_is_compared_out_of_fold_and_on_what_the_shipped_model_knows(
    small: Champion, anchor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner.decide, "MIN_IMAGES", 4)
    monkeypatch.setattr(owner.decide, "MIN_OF_CLASS", 1)
    candidate = tmp_path / "candidate"
    shutil.copytree(anchor, candidate)
    chosen = owner.held_out(RECORDS)
    assert chosen.tolist() == [side != "train" for side in SIDES]
    exam = Own([replace(RECORDS[0], file="exam/x.png", side="")], PIXELS[:1], NONE[:1])
    decision, said = owner.judge(
        candidate, small, anchor, Own(RECORDS, PIXELS, NONE), exam, chosen=chosen
    )
    assert decision.own["candidate"]["images"] == decision.own["champion"]["images"] == 11
    assert set(said) == {r.file for r in RECORDS if r.side != "train"}
    auc = version.metadata_of(anchor)["metrics"]["auc"]["value"]
    # The shipped model itself has forgotten nothing, and the small update is another model.
    assert decision.world["candidate"]["auc"] == pytest.approx(auc, abs=0.002)
    assert decision.world["champion"]["auc"] != decision.world["candidate"]["auc"]
    names = {check.name for check in decision.checks}
    assert {"auc against champion, world", "auc against shipped, world"} <= names
    assert "of your images, before on" in decision.reason


def test_above_1000_images_the_test_side_alone_is_evidence() -> None:
    many = [replace(RECORDS[0], side=SIDES[i % N]) for i in range(1_001)]
    assert owner.held_out(many).tolist() == [r.side == "test" for r in many]
    assert owner.held_out(many[:1_000]).tolist() == [r.side != "train" for r in many[:1_000]]


def test_a_network_with_other_first_blocks_has_no_known_world(anchor: Path) -> None:
    known = world.read()
    assert known is not None
    shipped = (anchor / "model.tflite").read_bytes()
    again = known.replayed(shipped)
    assert again is not None
    stored = known.replay.test.outputs
    assert again.test.outputs.logits == pytest.approx(stored.logits, abs=0.08)
    assert np.abs(again.test.outputs.logits - stored.logits).mean() < 0.02
    other = network_of(anchor)
    kernel = other.get_layer("stem_conv").kernel
    kernel.assign(kernel * 1.01)
    assert known.replayed(world.Graph(shipped).with_weights(other)) is None
    assert known.replayed(b"TFL3 or so") is None

"""A retraining keeps what the champion knows, computes nothing twice, and survives being killed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from clickbait.inference.classifier import Classifier, input_size
from tests.training.conftest import NO_IMAGES, train_network
from training import (
    Unusable,
    export,
    features,
    gather,
    loop,
    network,
    retrain,
    sides,
    version,
    weights,
)
from training.recipe import FROM_SCRATCH, RETRAINING, Recipe, retraining
from training.run import CHECKPOINT, Run

QUICK = replace(RETRAINING, epochs=2, views=1, batch_size=8, keep=0.0, anchor=1.0)
QUICK = replace(QUICK, learning_rate=1e-2)  # a first epoch is warm-up: this moves the weights
RNG = np.random.default_rng(11)
PIXELS = RNG.integers(0, 256, (3, 224, 224, 3), np.uint8)
HASHES = [f"{i:064x}" for i in range(3)]


class Memory:
    """A store that counts."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts = 0

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def put(self, key: str, data: bytes) -> None:
        self.puts += 1
        self.objects[key] = data


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def backbone() -> features.Backbone:
    stem, _ = network.split(network.build(QUICK), QUICK.frozen_blocks)
    assert stem is not None
    return features.Backbone(stem)


def cached(
    backbone: features.Backbone, folder: Path, store: Memory | None, **knobs: Any
) -> np.ndarray:
    recipe = replace(QUICK, **{"views": 2, **knobs})
    folder.mkdir(exist_ok=True)
    return features.cache(
        backbone, PIXELS, HASHES, recipe, recipe.views, file=folder / "f.npy", store=store
    )


@pytest.fixture(scope="module")
def drawn(draw: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Drawn images by name: nothing of them is in a folder any more."""
    folder = draw(tmp_path_factory.mktemp("bucket"), 12, 5)
    stored = {f"s3://{name}": (folder / name).read_bytes() for name, _ in gather.find(folder)}
    shutil.rmtree(folder)
    return stored


@pytest.fixture(scope="module")
def images(drawn: dict[str, bytes]) -> gather.Data:
    return gather.collect([(n, label_of(n)) for n in drawn], drawn.__getitem__, {})


def label_of(name: str) -> str:
    return name.split("/")[-2]


def test_the_views_of_an_image_do_not_depend_on_its_place_or_its_neighbours() -> None:
    versions = features.Versions(Recipe(), 2)
    all_three = versions.of(PIXELS, HASHES).reshape(3, 3, 224, 224, 3)
    alone = versions.of(PIXELS[2:], HASHES[2:])
    assert (all_three[2] == alone).all()
    assert (alone[0] == PIXELS[2]).all()
    assert (alone[1] != alone[2]).any()
    assert (features.Versions(Recipe(seed=1), 2).of(PIXELS[2:], HASHES[2:])[1] != alone[1]).any()


def test_what_the_store_has_is_not_computed_again(
    backbone: features.Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Memory()
    first = cached(backbone, tmp_path / "a", store)
    assert first.shape == (3, 3, 7, 7, 192)
    assert store.puts == 3
    folder = f"features/{backbone.digest}/"
    assert all(k.startswith(folder) and k.endswith(".npy") for k in store.objects)
    assert {k.split("/")[-1][:64] for k in store.objects} == set(HASHES)

    broken = next(iter(store.objects))
    store.objects[broken] = store.objects[broken][:999]
    through, counts = backbone.through, []
    monkeypatch.setattr(
        features.Backbone, "through", lambda self, x: counts.append(len(x)) or through(x)
    )
    again = cached(backbone, tmp_path / "b", store)
    assert counts == [3]  # the broken one, its two views
    assert (again == first).all()
    cached(backbone, tmp_path / "c", store)
    assert counts == [3]
    cached(backbone, tmp_path / "c2", store, seed=1)
    assert counts == [3, 9]


def test_an_interrupted_cache_resumes_after_the_last_whole_chunk(
    backbone: features.Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "CHUNK", 1)
    through, calls = backbone.through, []

    def dies(self: features.Backbone, x: np.ndarray) -> np.ndarray:
        calls.append(len(x))
        if len(calls) == 3:
            raise Killed
        return through(x)

    monkeypatch.setattr(features.Backbone, "through", dies)
    with pytest.raises(Killed):
        cached(backbone, tmp_path, None)
    rest = cached(backbone, tmp_path, None)
    assert len(calls) == 4
    assert (rest == cached(backbone, tmp_path / "whole", None)).all()


def test_features_of_other_frozen_weights_are_others(backbone: features.Backbone) -> None:
    stem, _ = network.split(network.build(QUICK), QUICK.frozen_blocks)
    assert features.Backbone(stem).digest == backbone.digest
    kernel = stem.get_layer("stem_conv")
    kernel.set_weights([kernel.get_weights()[0] * 1.0001])
    assert features.Backbone(stem).digest != backbone.digest


def tuned(tmp_path: Path, **knobs: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights of one dense unit before and after a training that would move them far."""
    rows = RNG.normal(size=(40, 5)).astype(np.float32)
    labels = (rows[:, 0] > 0).astype(int)
    recipe = Recipe(epochs=5, learning_rate=0.1, weight_decay=0.0, batch_size=8, mixup=0.0, **knobs)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    before = model.get_weights()
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    train_network(model, lambda i, rng: rows[i], labels, (rows, labels), recipe, folder)
    return before, model.get_weights()


def moved(pair: tuple[list[np.ndarray], list[np.ndarray]]) -> float:
    return sum(float(np.abs(a - b).sum()) for a, b in zip(*pair, strict=True))


def test_the_anchor_pulls_towards_the_start_and_a_huge_one_holds_it(tmp_path: Path) -> None:
    free, pulled, held = (moved(tuned(tmp_path, anchor=a)) for a in (0.0, 8.0, 1e9))
    assert free > 2 * pulled > 0
    assert held == pytest.approx(0, abs=1e-5)


def test_keeping_all_of_the_start_gives_its_logits_and_half_of_it_lies_between(
    tmp_path: Path,
) -> None:
    assert moved(tuned(tmp_path, keep=1.0)) == 0
    free = moved(tuned(tmp_path))
    assert 0.2 * free < moved(tuned(tmp_path, keep=0.5)) < 0.8 * free


def test_the_fewer_images_are_new_the_fewer_the_epochs() -> None:
    recipe = Recipe(epochs=9)
    assert retrain.epochs(recipe, 5000, None) == 9
    assert retrain.epochs(recipe, 130, 1.0) == 9
    assert retrain.epochs(recipe, 130, 0.5) == 5
    assert retrain.epochs(recipe, 130, 0.01) == 3
    assert retrain.epochs(recipe, 1780, 1.0) == 4  # 56 batches an epoch: 200 are reached in the 4th
    assert retrain.epochs(recipe, 1780, 50 / 2675) == 1
    assert retrain.epochs(recipe, 100_000, 1.0) == 1


def test_only_an_efficientnet_is_trained_on_from_a_champion() -> None:
    assert retraining("efficientnet_lite0", "efficientnet_lite0") is RETRAINING
    assert retraining("efficientnet_lite0", None) is FROM_SCRATCH["efficientnet_lite0"]
    assert retraining("efficientnet_lite0", "cnn").members == 1
    assert retraining("cnn", "cnn").frozen_blocks == 0


@pytest.fixture(scope="module")
def trained(narrow: Path, drawn: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished retraining of the narrow champion; its version is in `version` of its folder."""
    size = input_size(version.metadata_of(narrow))
    data = gather.collect([(n, label_of(n)) for n in drawn], drawn.__getitem__, {}, size=size)
    folder = tmp_path_factory.mktemp("trained")
    run = Run(data, replace(QUICK, size=size), folder, narrow, Memory())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "convert", None)  # The champion's file has the graph.
        retrain.retrain(run)
    return run


def test_a_retraining_killed_and_moved_to_another_machine_gives_the_same_version(
    trained: Run, narrow: Path, tmp_path: Path
) -> None:
    whole, rows = trained.folder / "version", []

    def note(row: dict[str, Any], epochs: int) -> None:
        rows.append((row, epochs))

    run = replace(trained, watch=note)
    work, mirror = tmp_path / "killed", tmp_path / "other machine"

    def save(file: Path) -> None:
        copy = mirror / file.relative_to(work)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)

    def die(row: dict[str, Any], epochs: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        retrain.retrain(replace(run, folder=work, saved=save, watch=die))
    (mirror / CHECKPOINT / "member-0.part.npz").write_bytes(b"half")
    rows.clear()
    resumed = retrain.retrain(replace(run, folder=mirror))
    assert [(row["epoch"], n) for row, n in rows] == [(1, 2), (2, 2)]
    for name in ("loss", "val_loss"):
        courses = [
            [row[name] for row in json.loads((folder / "history.json").read_text())["epochs"]]
            for folder in (whole, resumed)
        ]
        assert courses[1] == pytest.approx(courses[0], abs=1e-3)
    with np.load(whole / "weights.npz") as a, np.load(resumed / "weights.npz") as b:
        assert all(b[name] == pytest.approx(a[name], abs=1e-5) for name in a.files)
    with np.load(narrow / "weights.npz") as a, np.load(resumed / "weights.npz") as b:
        assert any(np.abs(b[name] - a[name]).max() > 1e-4 for name in a.files)
        assert (a["b14_project/kernel"] == b["b14_project/kernel"]).all()

    rows.clear()
    again = retrain.retrain(replace(run, folder=mirror))
    assert again == resumed
    assert [row["epoch"] for row, _ in rows] == [1, 2]


def test_a_narrow_champion_of_another_size_is_trained_on(trained: Run, narrow: Path) -> None:
    folder, size = trained.folder / "version", trained.recipe.size
    model = Classifier.load(folder)
    assert size != 224
    assert (model.size, model.metadata["recipe"]["size"]) == (size, size)
    assert model.metadata["preprocessing"] == gather.preprocessing(size)
    assert model.metadata["from"] == version.version_of(narrow)
    assert model.metadata["calibration"]["method"] == "platt"
    # The frozen blocks stay the champion's; the rest has its channels.
    assert weights.widths(folder / "weights.npz") == weights.widths(narrow / "weights.npz")
    with np.load(narrow / "weights.npz") as a, np.load(folder / "weights.npz") as b:
        assert (a["b14_project/kernel"] == b["b14_project/kernel"]).all()
        assert np.abs(a["logit/kernel"] - b["logit/kernel"]).max() > 1e-4
    # Views of other pixels are other features.
    assert isinstance(trained.store, Memory)
    at_224 = features._drawn(trained.recipe, 224)
    assert trained.store.objects and not [key for key in trained.store.objects if at_224 in key]


def test_weights_of_another_number_of_blocks_are_refused(narrow: Path, tmp_path: Path) -> None:
    with np.load(narrow / "weights.npz") as stored:
        np.savez(tmp_path / "weights.npz", **{n: stored[n] for n in stored if "b9_" not in n})
    with pytest.raises(Unusable, match="has 9 blocks, not 16"):
        network.start(QUICK, tmp_path)


def test_leftovers_of_another_training_are_removed(tmp_path: Path) -> None:
    saved: list[Path] = []
    run = Run(NO_IMAGES, QUICK, tmp_path, saved=saved.append)
    checkpoint, finished = run.checkpoint, tmp_path / "version"

    def opened() -> set[str]:
        retrain._open(run, finished)
        return {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}

    only = {f"{CHECKPOINT}/about.json"}
    for left in (b"", b'{"ima', b'{"images": "others"}'):
        finished.mkdir()
        (finished / "metadata.json").write_text("{}")
        checkpoint.mkdir(exist_ok=True)
        (checkpoint / "member-0.npz").write_bytes(b"x")
        (checkpoint / "about.json").write_bytes(left)
        assert opened() == only
    assert saved == [checkpoint / "about.json"] * 3

    loop.State(epoch=1).save(checkpoint / "member-0.npz")
    (checkpoint / "member-1.npz").write_bytes(b"PK\x03\x04 cut off")
    assert opened() == only | {f"{CHECKPOINT}/member-0.npz"}
    assert len(saved) == 3


def test_a_cnn_is_retrained_from_scratch_and_knows_its_ancestors(
    images: gather.Data, draw: Callable[..., Path], tmp_path: Path
) -> None:
    known = [replace(images.used[0], sha256="f" * 64, phash="0" * 16, file="gone.png")]
    data = replace(images, ancestors=known)
    recipe = replace(retraining("cnn", "efficientnet_lite0"), epochs=1, batch_size=8)
    folder = retrain.retrain(Run(data, recipe, tmp_path, store=Memory()), new=0)
    Classifier.load(folder)
    assert json.loads((folder / "metadata.json").read_text())["from"] is None
    assert [r.file for r in sides.read_manifest(folder / "ancestors.csv")] == ["gone.png"]

"""A small drawn dataset, and one finished version of each architecture for all tests."""

import fcntl
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from clickbait import LABELS
from clickbait.inference import images
from clickbait.inference.calibration import Calibration
from clickbait.inference.classifier import input_size
from training import export, golden, loop, network, sides, train, version, weights
from training.features import Examples
from training.gather import Data
from training.progress import Epochs
from training.recipe import RETRAINING, Recipe
from training.run import Run

FOLDERS = {"clickbait_real": (20, 60, 110), "clickbait_fake": (210, 70, 20)}
QUICK = {
    "cnn": ["--architecture", "cnn", "--epochs", "2", "--batch-size", "8"],
    "efficientnet_lite0": [
        *("--epochs", "1", "--views", "2", "--members", "2"),
        *("--frozen-blocks", "11", "--batch-size", "8"),
    ],
}
NO_IMAGES = Data([], [], np.zeros((0, 224, 224, 3), np.uint8), np.zeros(0, np.int64))


def draw_images(folder: Path, count: int, seed: int = 0) -> Path:
    """`count` images of each class: mosaics, unlike each other but for the class's tint."""
    rng = np.random.default_rng(seed)
    for label, tint in FOLDERS.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            mosaic = (rng.integers(0, 256, (9, 16, 3)) + np.array(tint)) // 2
            image = Image.fromarray(mosaic.astype(np.uint8)).resize((160, 90))
            image.save(folder / label / f"{seed}-{i}.png")
    return folder


def train_network(model, source, labels, held_out, recipe: Recipe, folder: Path) -> loop.State:
    """Train one network on (n, ...) examples of any kind; its run is in `folder`."""
    run = Run(NO_IMAGES, recipe, folder)
    run.checkpoint.mkdir(parents=True, exist_ok=True)
    with Epochs(recipe.epochs * math.ceil(len(labels) / recipe.batch_size)) as progress:
        examples = Examples(source, labels, *held_out)
        return loop.train(model, examples, run, member=0, progress=progress)


def write_tiny(folder: Path, name: str, sign: float = 1, size: int = 224) -> Path:
    """A version that answers at once: the redder an image, the likelier clickbait. It is right
    about every drawing, less sure if `sign` is smaller, and wrong about every one if it is -1."""
    image = keras.Input((size, size, 3))
    cam = keras.layers.Conv2D(1, 1)(keras.layers.AveragePooling2D(32)(image))
    model = keras.Model(image, cam)
    # Red less blue is about 94 in drawings of clickbait and -44 in others: logits of 3 and -3.
    slope = sign * 3 / 69
    model.layers[-1].set_weights([np.array([[[[slope], [0], [-slope]]]]), np.array([-25 * slope])])

    def outputs(x: tf.Tensor) -> dict[str, tf.Tensor]:
        cam = model(x)
        return {"logit": tf.reduce_mean(cam, [1, 2]), "cam": cam}

    file = export.convert(outputs, model, half=True)
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(file)
    metadata = {
        **{"model_version": name, "sha256": images.sha256(file), "labels": list(LABELS)},
        **{"architecture": "cnn", "accuracy": 0.95, "threshold": 0.5},
        "calibration": Calibration().as_dict(),
        "uncertain_band": {"low": 0.25, "high": 0.75},
        "golden": [{"png": golden.png(pixels)} for pixels in golden.images(size)],
    }
    if size != 224:
        metadata["preprocessing"] = {"size": size}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    sides.write_manifest(folder / "manifest.csv", [])
    return rewrite(folder)


def write_narrow(folder: Path) -> Path:
    """An EfficientNet-Lite of few channels and random weights, with an input of 64 px."""
    shape = network.Shape(64, tuple(8 * (1 + block // 4) for block in range(network.BLOCKS)), 48)
    model = network.build(RETRAINING, pretrained=False, shape=shape)
    rng = np.random.default_rng(0)
    # The converter stores weights that are all the same in another way.
    model.set_weights([w + 0.1 * rng.random(w.shape) for w in model.get_weights()])
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(export.classifier(model))
    weights.save(folder / "weights.npz", model)
    metadata = {
        **{"model_version": "20261103-000000-ddd", "architecture": "efficientnet_lite0"},
        **{"preprocessing": {"size": 64}, "calibration": Calibration().as_dict()},
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))
    sides.write_manifest(folder / "manifest.csv", [])
    return folder


def network_of(folder: Path) -> keras.Model:
    """The network of a version, as a fine-tuning starts from it."""
    size = input_size(version.metadata_of(folder))
    return network.start(replace(RETRAINING, size=size), folder)


def pixels_for(folder: Path, count: int = 3) -> np.ndarray:
    """Noise that the version in `folder` can see."""
    size = input_size(version.metadata_of(folder))
    return np.random.default_rng(5).integers(0, 256, (count, size, size, 3), np.uint8)


def rewrite(folder: Path, **fields: object) -> Path:
    """The version in `folder` with other metadata, and the golden predictions that follow."""
    metadata = json.loads((folder / "metadata.json").read_text()) | fields
    calibration = Calibration.from_dict(metadata["calibration"])
    file = (folder / "model.tflite").read_bytes()
    inputs = golden.images(input_size(metadata))
    logits = export.run(file, inputs, ["logit"])["logit"].ravel()
    for stored, probability in zip(metadata["golden"], calibration.apply(logits), strict=True):
        stored["probability"] = float(probability)
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that is right about every drawing, and answers at once."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "version", "20261101-000000-bbb")


@pytest.fixture(scope="session")
def timid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that is right about every drawing, and unsure about every one."""
    return write_tiny(tmp_path_factory.mktemp("timid") / "version", "20261101-000000-aaa", 0.2)


@pytest.fixture(scope="session")
def bad(tmp_path_factory) -> Path:
    """A version that a training on swapped labels would give: wrong about every drawing."""
    return write_tiny(tmp_path_factory.mktemp("bad") / "version", "20261101-000000-bad", -1)


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `write_narrow`."""
    return write_narrow(tmp_path_factory.mktemp("narrow") / "version")


@pytest.fixture(scope="session")
def draw() -> Callable[..., Path]:
    return draw_images


@pytest.fixture(scope="session")
def quick() -> dict[str, list[str]]:
    """Flags of a training of seconds, by architecture."""
    return QUICK


@pytest.fixture(scope="session")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `draw_dirty`."""
    return draw_dirty(tmp_path_factory.mktemp("images"))


def draw_dirty(folder: Path) -> Path:
    """Twenty images a class, a copy, a re-saved copy, a broken one and one under both labels."""
    draw_images(folder, 20)
    fake = folder / "clickbait_fake"
    (fake / "copy.png").write_bytes((fake / "0-0.png").read_bytes())
    Image.open(fake / "0-1.png").save(fake / "resaved.jpg", quality=80)
    (fake / "broken.png").write_bytes((fake / "0-2.png").read_bytes()[:200])
    both = np.random.default_rng(9).integers(0, 256, (9, 16, 3), np.uint8)
    for label in FOLDERS:
        Image.fromarray(both).resize((160, 90)).save(folder / label / "both.png")
    (folder / "clickbait_real" / ".DS_Store").write_bytes(b"x")
    lines = [f"{label}/0-{i}.png,{label[-4:]}{i // 2}" for label in FOLDERS for i in range(20)]
    (folder / "groups.csv").write_text("\n".join(["file,group", *lines]) + "\n")
    return folder


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The finished version of an architecture, trained on `draw_dirty` when a test first asks for
    it; pytest's workers share it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def finished(architecture: str) -> Path:
        out = shared / "versions" / architecture
        out.parent.mkdir(exist_ok=True)
        with (out.parent / f"{architecture}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (out / "metadata.json").exists():
                data = draw_dirty(tmp_path_factory.mktemp("images"))
                assert (
                    train.main(["--data", str(data), "--out", str(out), *QUICK[architecture]]) == 0
                )
        return out

    return finished

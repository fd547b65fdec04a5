"""A fine-tuned network is exported into the file of its start, without the converter."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clickbait.inference.classifier import Classifier
from clickbait.learning.features import FeatureReader
from clickbait.settings import CHECKOUT_BASELINE
from training import export, network, version, weights
from training.graph import Graph, UnknownGraph
from training.recipe import RETRAINING

PIXELS = np.random.default_rng(5).integers(0, 256, (3, 224, 224, 3), np.uint8)
SHIPPED = (CHECKOUT_BASELINE / "model.tflite").read_bytes()
"""A file of before: it has no output `features`."""


@pytest.fixture(scope="module")
def converted(versions: Callable[[str], Path]) -> Path:
    """A version whose file the converter wrote."""
    return versions("efficientnet_lite0")


@pytest.fixture(scope="module")
def other() -> object:
    """A network whose weights differ from all files here."""
    model = network.build(RETRAINING, pretrained=False)
    weights.load(version.BASELINE / "weights.npz", model)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable * (1 + 0.01 * rng.normal(size=variable.shape)))
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.set_weights([w * (1 + 0.01 * rng.random(w.shape)) for w in layer.get_weights()])
    return model


def test_the_features_of_a_version_are_what_its_last_layer_sees(converted: Path) -> None:
    file = (converted / "model.tflite").read_bytes()
    outputs = export.run(file, PIXELS, ["logit", "cam", "features"])
    reader = FeatureReader(file)
    assert outputs["features"].shape == (3, 1280)
    logits = outputs["features"] @ reader.last_layer.kernel + reader.bias
    assert logits == pytest.approx(outputs["logit"].ravel(), abs=1e-3)
    assert reader.read(PIXELS).features == pytest.approx(outputs["features"], abs=1e-2)
    Classifier.load(converted)


@pytest.mark.parametrize("start", ["shipped", "converted"])
def test_a_file_with_other_weights_answers_as_their_network_does(
    start: str, converted: Path, other: network.keras.Model
) -> None:
    file = SHIPPED if start == "shipped" else (converted / "model.tflite").read_bytes()
    written = Graph(file).with_weights(other)
    outputs = export.run(written, PIXELS, ["logit", "cam", "features"])
    expected = np.ravel(other(PIXELS.astype(np.float32), training=False))
    assert outputs["logit"].ravel() == pytest.approx(expected, abs=0.02)
    assert np.abs(export.run(file, PIXELS, ["logit"])["logit"].ravel() - expected).max() > 0.1
    bias = float(other.get_layer("logit").bias.numpy()[0])
    means = outputs["cam"].mean(axis=(1, 2, 3)) + bias
    assert outputs["logit"].ravel() == pytest.approx(means, abs=1e-3)
    assert Graph(written).with_weights(other) == written
    assert len(written) < len(file) + 2_000


def test_the_features_of_a_file_without_that_output_stay_the_same_with_it() -> None:
    model = network.build(RETRAINING, pretrained=False)
    weights.load(version.BASELINE / "weights.npz", model)
    before = FeatureReader(SHIPPED).read(PIXELS)
    after = FeatureReader(Graph(SHIPPED).with_weights(model)).read(PIXELS)
    assert after.features == pytest.approx(before.features, abs=5e-3)
    assert after.logits == pytest.approx(before.logits, abs=1e-3)


@pytest.mark.parametrize("start", ["shipped", "converted"])
def test_the_first_blocks_of_a_file_are_those_of_its_network(start: str, converted: Path) -> None:
    folder = version.BASELINE if start == "shipped" else converted
    model = network.build(RETRAINING, pretrained=False)
    weights.load(folder / "weights.npz", model)
    stem, _ = network.split(model, 11)
    file = Graph(version.file_of(folder)).until("b10_add")
    cut = export.run(file, PIXELS, ["features"])["features"]
    expected = stem(PIXELS.astype(np.float32)).numpy()
    assert np.abs(cut - expected).mean() < 0.002 * np.abs(expected).max()
    assert len(file) < len(SHIPPED) / 3


def test_a_file_of_another_network_is_converted_instead(
    other: network.keras.Model, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownGraph):
        Graph(b"TFL3 or so")
    unlike = (tiny / "model.tflite").read_bytes()
    with pytest.raises(UnknownGraph):
        Graph(unlike).until("b10_add")
    with pytest.raises(UnknownGraph):
        Graph(unlike).with_weights(other)
    monkeypatch.setattr(export, "convert", lambda *_, **__: b"converted")
    stem, _ = network.split(other, 11)
    assert export.classifier(other, unlike) == export.stem(stem, unlike) == b"converted"
    assert export.stem(stem, SHIPPED) == Graph(SHIPPED).until("b10_add")

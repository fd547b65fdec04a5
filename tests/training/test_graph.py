"""A fine-tuned network is exported into the file of its start, without the converter."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from clickbait.learning.features import OUTPUT, FeatureReader
from tests.training.conftest import network_of, pixels_for
from training import export, network, version
from training.graph import Graph, UnknownGraph


@pytest.fixture(scope="module", params=["shipped", "lite0"])
def start(request: pytest.FixtureRequest, versions: Callable[[str], Path]) -> Path:
    """The shipped version, and an EfficientNet-Lite0 of 224 px with all its channels."""
    return version.BASELINE if request.param == "shipped" else versions("efficientnet_lite0")


@pytest.fixture(scope="module")
def other(start: Path) -> keras.Model:
    """A network of the same shape whose weights differ from those of the file."""
    model = network_of(start)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable * (1 + 0.05 * rng.normal(size=variable.shape)))
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.set_weights([w * (1 + 0.01 * rng.random(w.shape)) for w in layer.get_weights()])
    return model


def of_before(file: bytes) -> bytes:
    """The file without the output `features`, as exports of before were."""
    parsed = Graph(file)
    model, graph, signature = parsed._copied()
    (features,) = (one for one in signature.outputs if one.name == OUTPUT.encode())
    signature.outputs = [one for one in signature.outputs if one is not features]
    graph.outputs = [i for i in map(int, graph.outputs) if i != features.tensorIndex]
    return parsed._packed(model)


def test_the_features_of_a_version_are_what_its_last_layer_sees(start: Path) -> None:
    file, pixels = version.file_of(start), pixels_for(start)
    outputs = export.run(file, pixels, ["logit", "cam", "features"])
    reader = FeatureReader(file)
    assert outputs["features"].shape == (3, reader.dimensions)
    logits = outputs["features"] @ reader.last_layer.kernel + reader.bias
    assert logits == pytest.approx(outputs["logit"].ravel(), abs=1e-3)
    assert reader.read(pixels).features == pytest.approx(outputs["features"], abs=1e-2)


@pytest.mark.parametrize("before", [False, True])
def test_a_file_with_other_weights_answers_as_their_network_does(
    start: Path, other: keras.Model, before: bool
) -> None:
    file, pixels = version.file_of(start), pixels_for(start)
    file = of_before(file) if before else file
    written = Graph(file).with_weights(other)
    outputs = export.run(written, pixels, ["logit", "cam", "features"])
    expected = np.ravel(other(pixels.astype(np.float32), training=False))
    assert outputs["logit"].ravel() == pytest.approx(expected, abs=0.02)
    assert np.abs(export.run(file, pixels, ["logit"])["logit"].ravel() - expected).max() > 0.1
    bias = float(other.get_layer("logit").bias.numpy()[0])
    means = outputs["cam"].mean(axis=(1, 2, 3)) + bias
    assert outputs["logit"].ravel() == pytest.approx(means, abs=1e-3)
    assert Graph(written).with_weights(other) == written
    assert len(written) < len(file) + 2_000


def test_the_features_of_a_file_without_that_output_stay_the_same_with_it(start: Path) -> None:
    file, pixels = of_before(version.file_of(start)), pixels_for(start)
    before = FeatureReader(file).read(pixels)
    after = FeatureReader(Graph(file).with_weights(network_of(start))).read(pixels)
    assert after.features == pytest.approx(before.features, abs=5e-3)
    assert after.logits == pytest.approx(before.logits, abs=1e-3)


def test_the_first_blocks_of_a_file_are_those_of_its_network(start: Path) -> None:
    stem, _ = network.split(network_of(start), 11)
    pixels, whole = pixels_for(start), version.file_of(start)
    file = Graph(whole).until("b10_add")
    cut = export.run(file, pixels, ["features"])["features"]
    expected = stem(pixels.astype(np.float32)).numpy()
    assert np.abs(cut - expected).mean() < 0.002 * np.abs(expected).max()
    assert len(file) < len(whole) / 3


def test_a_file_of_another_network_is_converted_instead(
    start: Path, other: keras.Model, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownGraph):
        Graph(b"TFL3 or so")
    file, unlike = version.file_of(start), (tiny / "model.tflite").read_bytes()
    with pytest.raises(UnknownGraph):
        Graph(unlike).until("b10_add")
    with pytest.raises(UnknownGraph):
        Graph(unlike).with_weights(other)
    monkeypatch.setattr(export, "convert", lambda *_, **__: b"converted")
    stem, _ = network.split(other, 11)
    assert export.classifier(other, unlike) == export.stem(stem, unlike) == b"converted"
    assert export.stem(stem, file) == Graph(file).until("b10_add")

"""Keras to TFLite with half-precision weights, and TFLite over many images on every core."""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from clickbait.inference.calibration import Calibration
from clickbait.inference.classifier import SIGNATURE
from clickbait.learning.features import OUTPUT
from training import Unusable, network
from training.graph import Graph, UnknownGraph
from training.progress import say

MAX_DRIFT = 0.02
"""Largest allowed difference of a probability between Keras and the exported file; fp16 weights
moved it by 0.016."""

COMPARED = 16
"""Images that are compared. A file with a wrong weight differs on every image, and an image through
Keras takes 0.13 s of CPU, ten times as long as through the file."""

Run = dict[str, npt.NDArray[np.float32]]


def convert(function: Callable[[Any], dict[str, Any]], model: keras.Model, half: bool) -> bytes:
    """A TFLite file of `function`, image (1, size, size, 3) as `model` takes it, to named outputs;
    `half` stores fp16 weights.

    It goes through a SavedModel because `from_keras_model` fails on some graphs of Keras 3.
    """
    image = tf.TensorSpec([1, *model.input_shape[1:]], tf.float32, name="image")
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(SIGNATURE, function, input_signature=[image])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())


def cores() -> int:
    """The number of cores that this process may use; macOS gives a process all of them."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def run(model: bytes, images: npt.NDArray[Any], names: Sequence[str]) -> Run:
    """Outputs `names` of a TFLite file for images (n, size, size, 3), each with a first axis of n.

    Each core has an interpreter of one thread: faster than one interpreter of many threads.
    """
    count = min(cores(), max(len(images), 1))
    interpreters = [Interpreter(model_content=model, num_threads=1) for _ in range(count)]
    for interpreter in interpreters:
        interpreter.allocate_tensors()
    signature = interpreters[0].get_signature_runner(SIGNATURE)
    (source,) = (int(t["index"]) for t in signature.get_input_details().values())
    details = signature.get_output_details()
    del signature  # An interpreter refuses to run while anything else refers to its data.
    out: Run = {n: np.empty((len(images), *details[n]["shape"][1:]), np.float32) for n in names}

    def work(core: int) -> None:
        for i in range(core, len(images), count):
            interpreters[core].set_tensor(source, images[i : i + 1].astype(np.float32))
            interpreters[core].invoke()
            for name in names:
                out[name][i] = interpreters[core].get_tensor(int(details[name]["index"]))[0]

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))
    return out


def classifier(model: keras.Model, start: bytes | None = None) -> bytes:
    """The file that ships: fp16 weights, outputs `logit` and `cam`, and `features` if the network
    has one last layer.

    `start` is the file of the version whose weights `model` started from. Its graph is used again,
    because the converter takes 10 to 25 s of CPU.
    """
    if start is not None:
        try:
            return Graph(start).with_weights(model)
        except UnknownGraph as error:
            say(f"Converting the network: {error}")
    return convert(network.outputs(model), model, half=True)


def stem(model: keras.Model, start: bytes | None = None) -> bytes:
    """The file of the frozen blocks `model`, with the output `features`; `start` as above."""
    if start is not None:
        try:
            return Graph(start).until(model.layers[-1].name)
        except UnknownGraph as error:
            say(f"Converting the frozen blocks: {error}")
    return convert(lambda x: {OUTPUT: model(x, training=False)}, model, half=False)


def drift(
    model: keras.Model,
    images: npt.NDArray[np.uint8],
    logits: npt.NDArray[np.float64],
    calibration: Calibration,
) -> float:
    """Largest difference in probability between `model` and the file's `logits` on the same images,
    of which the first COMPARED are compared.

    Raises Unusable above MAX_DRIFT.
    """
    images, logits = images[:COMPARED], logits[:COMPARED]
    batches = [images[i : i + 64].astype(np.float32) for i in range(0, len(images), 64)]
    expected = np.concatenate([np.ravel(model(b, training=False)) for b in batches])
    worst = float(np.abs(calibration.apply(expected) - calibration.apply(logits)).max())
    if not worst <= MAX_DRIFT:
        raise Unusable(
            f"The exported file differs from the trained network by {worst:.4f} in probability; "
            f"the limit is {MAX_DRIFT}. Nothing was published."
        )
    return worst

"""The graph in a version's TFLite file: cut out its first blocks, or give it other weights.

TensorFlow's converter takes 10 to 25 s of CPU for a graph that is always the same. So a fine-tuning
reuses the file of the version that it starts from. Normalisations are folded into convolutions, as
the converter does.
"""

import copy
import hashlib
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import flatbuffers
import keras
import numpy as np
import numpy.typing as npt
from tensorflow.lite.python import schema_py_generated as schema

from clickbait.learning.features import OUTPUT

CONVOLUTIONS = {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D}
ROUNDED, ROUNDED_TO_ZERO = 1e-3, 1e-6
"""Largest difference of a weight from its half-precision copy, relative and absolute."""
FILE_IDENTIFIER = b"TFL3"
FILE_BYTES = 8_000_000  # First guess of the writer's buffer, which grows if needed.

Floats = npt.NDArray[np.float32]


class UnknownGraph(Exception):
    """Raised if a file is not an export of an EfficientNet-Lite0. The converter can replace it."""


class Graph:
    """A TFLite file, read. Each method returns another file; the graph itself stays as it is."""

    def __init__(self, model: bytes) -> None:
        """Raises UnknownGraph unless the file has one graph with the outputs `logit` and `cam`."""
        try:
            self._model = schema.ModelT.InitFromPackedBuf(model, 0)
            (graph,) = self._model.subgraphs
            (signature,) = self._model.signatureDefs
            self._makers = {int(o.outputs[0]): o for o in graph.operators}
            outputs = {one.name.decode(): int(one.tensorIndex) for one in signature.outputs}
            self._logit, self._cam = self._makers[outputs["logit"]], self._makers[outputs["cam"]]
        except Exception as error:  # The generated parser raises whatever it stumbles on.
            raise UnknownGraph(f"The file is not a version's TFLite file: {error}") from error

    def until(self, layer: str) -> bytes:
        """Return a file that ends behind the Keras layer `layer`, with `features` as its only
        output. Raises UnknownGraph if there is no such layer."""
        model, graph, signature = self._copied()
        last = self._output_of(layer)
        graph.outputs, signature.outputs = [last], [_named(OUTPUT, last)]
        return self._packed(model, self._needed(graph))

    def after(self, layer: str) -> bytes:
        """Return a file that begins behind the Keras layer `layer`: its input is the output of
        `layer`, and its outputs are those of the whole file. Raises UnknownGraph as `until`."""
        model, graph, signature = self._copied()
        first = self._output_of(layer)
        graph.inputs, signature.inputs = [first], [_named("image", first)]
        return self._packed(model, self._needed(graph, first))

    def digest_until(self, layer: str) -> str:
        """Return 64 hex digits of the weights until `layer`. Files with the same ones compute the
        same up to there."""
        _, graph, _ = self._copied()
        graph.outputs = [self._output_of(layer)]
        needed, digest = self._needed(graph), hashlib.sha256()
        for operator in graph.operators:
            if int(operator.outputs[0]) not in needed:
                continue
            for tensor in [int(i) for i in operator.inputs if int(i) not in self._makers]:
                data = self._model.buffers[graph.tensors[tensor].buffer].data
                digest.update(b"" if data is None else bytes(data))
        return digest.hexdigest()

    def with_features(self) -> bytes:
        """Return the file with the output `features`, (1, d). A file of before lacks it."""
        model, graph, signature = self._copied()
        self._add_features(graph, signature)
        return self._packed(model)

    def with_weights(self, network: keras.Model) -> bytes:
        """Return a file with the weights of `network` in half precision, and with the output
        `features`, (1, d). Raises UnknownGraph if its layers are not those of the file."""
        model, graph, signature = self._copied()
        found = [o for o in graph.operators if self._is_convolution(o) and o is not self._cam]
        layers = list(_folded(network))
        if len(found) != len(layers):
            raise UnknownGraph(f"The file has {len(found)} convolutions, not {len(layers)}.")
        head = network.get_layer("logit")
        weights = [(int(self._logit.inputs[1]), head.bias.numpy())]
        weights += [(int(self._cam.inputs[1]), head.kernel.numpy().reshape(1, 1, 1, -1))]
        for operator, (kernel, bias) in zip(found, layers, strict=True):
            weights += [(int(operator.inputs[1]), kernel), (int(operator.inputs[2]), bias)]
        for tensor, values in weights:
            stored = graph.tensors[int(self._makers[tensor].inputs[0])]
            if list(stored.shape) != list(values.shape):
                raise UnknownGraph(f"{stored.name} is {stored.shape}, not {values.shape}.")
            old = np.frombuffer(bytes(model.buffers[stored.buffer].data), np.float16)
            if np.allclose(values.ravel(), old, ROUNDED, ROUNDED_TO_ZERO):
                continue  # Not trained: other bits would look like other weights.
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.astype(np.float16).tobytes(), np.uint8)
            model.buffers[stored.buffer] = buffer
        self._add_features(graph, signature)
        return self._packed(model)

    def _add_features(self, graph: Any, signature: Any) -> None:
        """Add the mean of the last feature map over its places, as the logit has it of `cam`, if
        the file lacks it."""
        if OUTPUT.encode() in [one.name for one in signature.outputs]:
            return
        mean = copy.copy(self._makers[int(self._logit.inputs[0])])
        tensor = copy.copy(graph.tensors[int(mean.outputs[0])])
        source = int(self._cam.inputs[0])
        tensor.name, tensor.buffer = OUTPUT.encode(), 0
        tensor.shape = np.array([1, graph.tensors[source].shape[-1]], np.int32)
        index = len(graph.tensors)
        graph.tensors = [*graph.tensors, tensor]
        mean.inputs, mean.outputs = np.array([source, mean.inputs[1]], np.int32), [index]
        graph.operators = [*graph.operators, mean]
        graph.outputs = [*map(int, graph.outputs), index]
        signature.outputs = [*signature.outputs, _named(OUTPUT, index)]

    def _output_of(self, layer: str) -> int:
        """The tensor that the Keras layer `layer` computes."""
        graph = self._model.subgraphs[0]
        named = re.compile(rf"(^|/){layer}(_\d+)?/".encode())
        tensors = [int(operator.outputs[0]) for operator in graph.operators]
        made = [tensor for tensor in tensors if named.search(graph.tensors[tensor].name)]
        if not made:
            raise UnknownGraph(f"The file has no layer {layer}.")
        return made[-1]

    def _needed(self, graph: Any, given: int = -1) -> set[int]:
        """The tensors from which the outputs of `graph` are computed, if `given` is an input."""
        needed: set[int] = set()
        waiting = [int(tensor) for tensor in graph.outputs]
        while waiting:
            tensor = waiting.pop()
            if tensor not in needed and tensor != given and tensor in self._makers:
                waiting += [int(i) for i in self._makers[tensor].inputs]
            needed.add(tensor)
        return needed

    def _is_convolution(self, operator: Any) -> bool:
        return self._model.operatorCodes[operator.opcodeIndex].builtinCode in CONVOLUTIONS

    def _copied(self) -> tuple[Any, Any, Any]:
        """The model, its graph and its signature, whose lists can be replaced."""
        model = copy.copy(self._model)
        model.subgraphs = [copy.copy(self._model.subgraphs[0])]
        model.signatureDefs = [copy.copy(self._model.signatureDefs[0])]
        model.buffers = list(self._model.buffers)
        return model, model.subgraphs[0], model.signatureDefs[0]

    def _packed(self, model: Any, needed: set[int] | None = None) -> bytes:
        """The bytes of `model`, without everything that only other tensors than `needed` need."""
        (graph,) = model.subgraphs
        if needed is not None:
            kept = set(map(int, graph.inputs))
            graph.operators = [
                o
                for o in graph.operators
                if int(o.outputs[0]) in needed and int(o.outputs[0]) not in kept
            ]
            for i, tensor in enumerate(graph.tensors):
                if i not in needed:
                    model.buffers[tensor.buffer] = schema.BufferT()
        builder = flatbuffers.Builder(FILE_BYTES)
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())


def _folded(network: keras.Model) -> Iterator[tuple[Floats, Floats]]:
    """Kernel and bias of each convolution of `network`, with the normalisation that follows it
    folded in, in TFLite's order of axes."""
    for layer, norm in pairwise(network.layers):
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        if not depthwise and not isinstance(layer, keras.layers.Conv2D):
            continue
        if not isinstance(norm, keras.layers.BatchNormalization):
            raise UnknownGraph(f"No normalisation follows the layer {layer.name}.")
        gamma, beta, mean, variance = (v.numpy() for v in norm.weights)
        scale = gamma / np.sqrt(variance + norm.epsilon)
        kernel = layer.kernel.numpy()
        if depthwise:  # (height, width, channels, 1) to (1, height, width, channels)
            yield kernel[None, ..., 0] * scale, beta - mean * scale
        else:  # (height, width, in, out) to (out, height, width, in)
            yield kernel.transpose(3, 0, 1, 2) * scale[:, None, None, None], beta - mean * scale


def _named(name: str, tensor: int) -> Any:
    """The entry of a signature that calls `tensor` `name`."""
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), tensor
    return entry

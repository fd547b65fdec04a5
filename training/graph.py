"""The graph in a version's TFLite file: cut out its first blocks, or give it other weights.

TensorFlow's converter takes 10 to 25 s of CPU for a graph that is always the same. So a fine-tuning
reuses the file of the version that it starts from. Normalisations are folded into convolutions, as
the converter does.
"""

import copy
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
FILE_IDENTIFIER = b"TFL3"

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
        named = re.compile(rf"(^|/){layer}(_\d+)?/".encode())
        made = [o for o in graph.operators if named.search(graph.tensors[int(o.outputs[0])].name)]
        if not made:
            raise UnknownGraph(f"The file has no layer {layer}.")
        last = int(made[-1].outputs[0])
        needed, waiting = set(), [last]
        while waiting:
            tensor = waiting.pop()
            if tensor in self._makers and tensor not in needed:
                waiting += [int(i) for i in self._makers[tensor].inputs]
            needed.add(tensor)
        graph.operators = [o for o in graph.operators if int(o.outputs[0]) in needed]
        graph.outputs = [last]
        signature.outputs = [_output(last)]
        for i, tensor in enumerate(graph.tensors):
            if i not in needed:
                model.buffers[tensor.buffer] = schema.BufferT()
        return _packed(model)

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
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.astype(np.float16).tobytes(), np.uint8)
            model.buffers[stored.buffer] = buffer
        if OUTPUT.encode() not in [one.name for one in signature.outputs]:
            self._add_features(graph, signature)
        return _packed(model)

    def _add_features(self, graph: Any, signature: Any) -> None:
        """Add the mean of the last feature map over its places, as the logit has it of `cam`."""
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
        signature.outputs = [*signature.outputs, _output(index)]

    def _is_convolution(self, operator: Any) -> bool:
        return self._model.operatorCodes[operator.opcodeIndex].builtinCode in CONVOLUTIONS

    def _copied(self) -> tuple[Any, Any, Any]:
        """The model, its graph and its signature, whose lists can be replaced."""
        model = copy.copy(self._model)
        model.subgraphs = [copy.copy(self._model.subgraphs[0])]
        model.signatureDefs = [copy.copy(self._model.signatureDefs[0])]
        model.buffers = list(self._model.buffers)
        return model, model.subgraphs[0], model.signatureDefs[0]


def _folded(network: keras.Model) -> Iterator[tuple[Floats, Floats]]:
    """Kernel and bias of each convolution of `network`, with the normalisation that follows it
    folded in, in TFLite's order of axes."""
    for layer, norm in pairwise(network.layers):
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        if not depthwise and not isinstance(layer, keras.layers.Conv2D):
            continue
        gamma, beta, mean, variance = (v.numpy() for v in norm.weights)
        scale = gamma / np.sqrt(variance + norm.epsilon)
        kernel = layer.kernel.numpy()
        if depthwise:  # (height, width, channels, 1) to (1, height, width, channels)
            yield kernel[None, ..., 0] * scale, beta - mean * scale
        else:  # (height, width, in, out) to (out, height, width, in)
            yield kernel.transpose(3, 0, 1, 2) * scale[:, None, None, None], beta - mean * scale


def _output(tensor: int) -> Any:
    """The entry of a signature that calls `tensor` `features`."""
    output = schema.TensorMapT()
    output.name, output.tensorIndex = OUTPUT.encode(), tensor
    return output


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 23)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())

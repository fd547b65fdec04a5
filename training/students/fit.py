"""Train one network towards soft targets: AdamW, warm-up and cosine, mixup, averaged weights."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.students.augment import augment
from training.students.network import NORM_MOMENTUM, Network, norms

WARM_UP = (200, 0.05)
"""Steps of warm-up: at most so many, and at most this share of all steps."""
TIMED = (25, 75)
"""The speed is that between these steps: the first ones choose kernels."""
LEAST_STEPS = 200
LARGEST_GRADIENT = 1.0
FIRST_STEPS = 3
"""Before a graph is recorded: they choose kernels and allocate memory."""
AVERAGED_EVERY = 4
NORM_BATCHES = 30
NORM_BATCH = 256
NORM_STRENGTH = 0.6
"""The statistics are of images that are changed less than in training."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one network is trained."""

    batch: int
    rate: float
    """Learning rate after the warm-up."""
    decay: float
    """Weight decay of kernels; scales and biases have none."""
    smoothing: float
    strength: float = 1.0
    """Of the augmentation, with `hard`."""
    hard: bool = True
    mixup: float = 0.4
    """Both parameters of the Beta distribution."""
    cutmix: bool = False
    """Every other step, in place of mixup."""
    frozen_blocks: int = 0
    """The stem and so many blocks keep their weights; 0 trains the stem as well."""
    train_norms: bool = True
    """False: BatchNorm keeps its statistics."""
    moving_average: float | None = None
    """Decay of the moving average of the weights; None: the mean over the last steps."""
    compiled: bool = False
    """On a GPU: fuse kernels first, which takes 10 s and a third off each step."""
    averaged: float = 0.6
    """The share of the steps over which that mean is."""


def fit(
    network: Network,
    pixels: Tensor,
    index: Tensor,
    targets: Tensor,
    recipe: Recipe,
    *,
    name: str,
    seed: int = 0,
    steps: int | None = None,
    seconds: float | None = None,
) -> Network:
    """Train `network` in place on the images `pixels[index]`, index (n,), towards the probabilities
    `targets` (n,); return it on the device of the pixels, with averaged weights.

    Give either `steps` or `seconds`, from which the speed of the first steps gives their number.
    """
    torch.manual_seed(seed)
    device = pixels.device
    network = network.to(device).to(memory_format=torch.channels_last)
    _freeze(network, recipe.frozen_blocks)
    optimizer = _optimizer(network, recipe)
    average = _Average(network, recipe)
    _train_mode(network, recipe)
    began = timed = time.monotonic()
    if recipe.compiled and device.type == "cuda":
        torch.compiler.reset()
        network.forward = torch.compile(network.forward)  # type: ignore[method-assign]
    learn = _learner(network, optimizer, recipe.batch)
    step, total = 0, math.inf if steps is None else steps
    while step < total:
        if step == TIMED[0]:
            timed = _now(device)
        if step == TIMED[1]:
            pace = (_now(device) - timed) / (TIMED[1] - TIMED[0])
            if seconds is not None:
                rest = int((seconds - (time.monotonic() - began)) / pace)
                total = max(LEAST_STEPS, rest + TIMED[1])
            speed = f"{pace * 1e3:.1f} ms a step of {recipe.batch}"
            print(f"  {name}: {speed}, {total} steps", flush=True)
        _set_rate(optimizer, recipe.rate * _schedule(step, total))
        chosen = torch.randint(len(index), (recipe.batch,), device=device)
        x = augment(pixels[index[chosen]], network.size, recipe.strength, recipe.hard)
        y = targets[chosen] * (1 - recipe.smoothing) + recipe.smoothing / 2
        x, y = _cutmix(x, y) if recipe.cutmix and step % 2 else _mixup(x, y, recipe.mixup)
        learn(x, y)
        step += 1
        average.update(step, total)
    network.__dict__.pop("forward", None)  # A compiled one is for this batch alone.
    average.apply()
    if recipe.train_norms:
        measure_norms(network, pixels, index, recipe.hard)
    return network.eval()


@torch.no_grad()
def measure_norms(network: Network, pixels: Tensor, index: Tensor, hard: bool) -> None:
    """Take the statistics of BatchNorm anew: averaged weights do not fit the old ones."""
    for norm in norms(network):
        norm.reset_running_stats()
        norm.momentum = None  # The plain mean over all batches.
    network.train()
    for _ in range(NORM_BATCHES):
        chosen = index[torch.randint(len(index), (NORM_BATCH,), device=index.device)]
        x = augment(pixels[chosen], network.size, NORM_STRENGTH, hard)
        network(x.to(memory_format=torch.channels_last))
    for norm in norms(network):
        norm.momentum = NORM_MOMENTUM


def _learner(
    network: Network, optimizer: torch.optim.Optimizer, batch: int
) -> Callable[[Tensor, Tensor], None]:
    """The function that does one step on images (batch, 3, side, side) and their targets (batch,).

    On a GPU it is a recorded graph of kernels, which starts them in a tenth of the time.
    """
    parameters = list(network.parameters())
    device = parameters[0].device

    def learn(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            logits = network(x)
        loss = functional.binary_cross_entropy_with_logits(logits.float(), y)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
        optimizer.step()

    if device.type != "cuda":
        return learn
    x = torch.zeros(batch, 3, network.size, network.size, device=device)
    x = x.to(memory_format=torch.channels_last)
    y = torch.zeros(batch, device=device)
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    _set_rate(optimizer, 0.0)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(FIRST_STEPS):
            learn(x, y)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        learn(x, y)
    # Those steps moved the statistics and the optimizer's moments towards black images.
    network.load_state_dict(kept)
    for state in optimizer.state.values():
        for moment in state.values():
            moment.zero_()

    def replay(images: Tensor, targets: Tensor) -> None:
        x.copy_(images)
        y.copy_(targets)
        graph.replay()

    return replay


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"].fill_(rate)


class _Average:
    """The average of a network's parameters over steps, in one of the two ways of a Recipe."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        self.parameters = list(network.parameters())
        self.recipe = recipe
        self.average: list[Tensor] = []
        self.taken = 0

    @torch.no_grad()
    def update(self, step: int, total: float) -> None:
        """Take the weights after `step` of `total` steps into the average, if they are due."""
        if self.recipe.moving_average is not None:
            # Short at first, so that the starting point is soon forgotten.
            weight = 1 - min(self.recipe.moving_average, step / (step + 10))
        elif step > total * (1 - self.recipe.averaged) and step % AVERAGED_EVERY == 0:
            weight = 1 / (self.taken + 1)
        else:
            return
        self.taken += 1
        if self.average:
            torch._foreach_lerp_(self.average, self.parameters, weight)
        else:
            self.average = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def apply(self) -> None:
        """Give the network the averaged weights."""
        for parameter, average in zip(self.parameters, self.average, strict=True):
            parameter.copy_(average)


def _freeze(network: Network, blocks: int) -> None:
    """Freeze the stem and the first `blocks` blocks, if any; train the rest."""
    network.requires_grad_(True)
    if blocks:
        network.stem.requires_grad_(False)
        network.blocks[:blocks].requires_grad_(False)


def _train_mode(network: Network, recipe: Recipe) -> None:
    network.train()
    if not recipe.train_norms:
        for norm in norms(network):
            norm.eval()


def _optimizer(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0},
    ]
    # A graph reads its learning rate from the GPU.
    rate = torch.tensor(recipe.rate, device=trained[0].device)
    on_gpu = trained[0].is_cuda
    return torch.optim.AdamW(groups, lr=rate, fused=on_gpu, capturable=on_gpu)


def _schedule(step: int, total: float) -> float:
    """The factor of the learning rate; only warm-up while the number of steps is unknown."""
    most, share = WARM_UP
    warm = min(1, (step + 1) / min(most, total * share))
    return warm * 0.5 * (1 + math.cos(math.pi * min(1, step / max(1, total))))


def _now(device: torch.device) -> float:
    """The time in seconds, after everything that the GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.monotonic()


def _mixup(x: Tensor, y: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Blend each image and target with another (Zhang et al. 2017, arXiv 1710.09412)."""
    share = float(np.random.beta(alpha, alpha))
    other = torch.randperm(len(x), device=x.device)
    return share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]


def _cutmix(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Paste a square of another image (Yun et al. 2019, arXiv 1905.04899); blend targets by
    area."""
    other, size = torch.randperm(len(x), device=x.device), x.shape[-1]
    side = int(size * math.sqrt(1 - np.random.beta(1, 1)))
    top, left = np.random.randint(0, size - side + 1, 2)
    rows, columns = slice(top, top + side), slice(left, left + side)
    pasted = x.clone()
    pasted[:, :, rows, columns] = x[other][:, :, rows, columns]
    share = 1 - side * side / size / size
    return pasted, share * y + (1 - share) * y[other]

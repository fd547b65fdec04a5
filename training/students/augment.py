"""Random changes to a batch of images on the GPU: lower resolution, geometry, colour, erasing, bars
and frames.

Images are float (n, 3, side, side), RGB 0..255. `strength` scales the ranges of geometry and
colour.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

LOW_RESOLUTION = 0.5
"""Share of the batches in which most images are shrunk and enlarged again."""
LOW_RESOLUTION_SIDES = (72, 160)
LOW_RESOLUTION_IMAGES = 0.8
SHRUNK_FIRST = 224
"""Up to this input size, images are resized before they are warped, which is faster."""

ROTATION = math.radians(10)
ZOOM = 0.25
ASPECT = 0.15
SHIFT = 0.3
"""In units of `affine_grid`, in which an image is 2 wide: 0.15 of its side."""

COLOUR = 0.45
"""Brightness and contrast change by up to this factor, saturation by twice it."""
GREY = 0.15
TINT = 40.0
BRIGHTNESS = 60.0
LUMA = (0.299, 0.587, 0.114)

GAMMA = 0.3
"""The exponent is between exp(-GAMMA) and exp(GAMMA)."""
NOISE = 8.0
NOISY = 0.3

ERASED = 0.3
ERASED_HALF_SIDES = (0.09, 0.27)
"""Half the height and half the width of the rectangle, as shares of the image's side."""

FRAMED = 0.15
"""Share of the images with bars above and below, bars left and right, or both: a frame. The service
cuts black bars, but not those of a colour, blurred ones and thin ones."""
THICKNESS = (0.02, 0.16)
"""Of a bar, as a share of the image's side."""
BLACK = 0.5
"""Share of the frames that are black."""


def resize(images: Tensor, size: int) -> Tensor:
    """Bilinear with antialiasing, as Pillow does, to (n, 3, size, size)."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(
        images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )


def augment(images: Tensor, size: int, strength: float = 1.0, hard: bool = True) -> Tensor:
    """Changed images (n, 3, size, size); `hard` adds low resolution, gamma, noise,
    bars and frames."""
    images = images.float()
    if hard and torch.rand(1).item() < LOW_RESOLUTION:
        images = _lower_resolution(images)
    images = _recolour(_warp(images, size, strength), COLOUR * strength)
    if hard:
        images = _gamma_and_noise(images)
        images = _frame(images)
    return _erase(images).clamp(0, 255)


def _uniform(like: Tensor, low: float, high: float) -> Tensor:
    """One number per image, (n, 1, 1, 1)."""
    return torch.empty(len(like), 1, 1, 1, device=like.device).uniform_(low, high)


def _colours(like: Tensor, low: float, high: float) -> Tensor:
    """Three numbers per image, (n, 3, 1, 1)."""
    return torch.empty(len(like), 3, 1, 1, device=like.device).uniform_(low, high)


def _lower_resolution(images: Tensor) -> Tensor:
    low, high = LOW_RESOLUTION_SIDES
    side = int(torch.randint(low, high + 1, (1,)).item())
    chosen = torch.rand(len(images), device=images.device) < LOW_RESOLUTION_IMAGES
    small = functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    blurred = functional.interpolate(small, size=images.shape[-2:], mode="bilinear")
    return torch.where(chosen[:, None, None, None], blurred, images)


def _warp(images: Tensor, size: int, strength: float) -> Tensor:
    """Rotate, zoom, change the aspect ratio, mirror and shift; fill the borders by reflection."""
    n, device = len(images), images.device

    def around_zero(most: float) -> Tensor:
        return (torch.rand(n, device=device) * 2 - 1) * most

    angle = around_zero(ROTATION * strength)
    zoom = 1 + around_zero(ZOOM * strength)
    aspect = 1 + around_zero(ASPECT * strength)
    mirror = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    right, down = around_zero(SHIFT * strength), around_zero(SHIFT * strength)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    matrix = torch.stack(
        [
            torch.stack([cosine * zoom * aspect * mirror, -sine * zoom, right], 1),
            torch.stack([sine * zoom * aspect * mirror, cosine * zoom, down], 1),
        ],
        1,
    )
    if size <= SHRUNK_FIRST:
        images = resize(images, size)
    grid = functional.affine_grid(matrix, [n, 3, size, size], align_corners=False)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _recolour(images: Tensor, most: float) -> Tensor:
    """Change brightness, contrast and saturation by factors, then add a tint and a brightness."""
    images = images * (1 + _uniform(images, -most, most))
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * (1 + _uniform(images, -most, most))
    luma = sum(images[:, i : i + 1] * weight for i, weight in enumerate(LUMA))
    grey = _uniform(images, 0, 1) < GREY
    saturation = (1 + _uniform(images, -2 * most, 2 * most)).masked_fill(grey, 0.0)
    images = luma + (images - luma) * saturation
    tint = _colours(images, -1, 1) * most * TINT
    return images + tint + _uniform(images, -most * BRIGHTNESS, most * BRIGHTNESS)


def _gamma_and_noise(images: Tensor) -> Tensor:
    # Above 0, because a power of 0 has no finite slope.
    base = (images.clamp(0, 255) / 255).clamp_min(1e-4)
    images = 255 * base ** torch.exp(_uniform(images, -GAMMA, GAMMA))
    noise = torch.randn_like(images) * _uniform(images, 0, NOISE)
    return images + noise * (_uniform(images, 0, 1) < NOISY)


def _frame(images: Tensor) -> Tensor:
    """Paint bars of one colour over the edges of some of the images."""
    side = images.shape[-1]
    edge = torch.arange(side, device=images.device)
    edge = torch.minimum(edge, side - 1 - edge)
    thickness = _uniform(images, *(share * side for share in THICKNESS))
    kind, chosen = _uniform(images, 0, 1), _uniform(images, 0, 1) < FRAMED
    rows = (edge[None, None, :, None] < thickness) & (kind < 2 / 3)
    columns = (edge[None, None, None, :] < thickness) & (kind > 1 / 3)
    black = _uniform(images, 0, 1) < BLACK
    colours = _colours(images, 0, 255).masked_fill(black, 0.0)
    return torch.where((rows | columns) & chosen, colours, images)


def _erase(images: Tensor) -> Tensor:
    """Paint one rectangle of a random colour over some of the images."""
    size = images.shape[-1]
    rows = torch.arange(size, device=images.device)[None, None, :, None]
    columns = torch.arange(size, device=images.device)[None, None, None, :]
    y, x = _uniform(images, 0, size), _uniform(images, 0, size)
    low, high = (share * size for share in ERASED_HALF_SIDES)
    height, width = _uniform(images, low, high), _uniform(images, low, high)
    chosen = _uniform(images, 0, 1) < ERASED
    inside = ((rows - y).abs() < height) & ((columns - x).abs() < width) & chosen
    return torch.where(inside, _colours(images, 0, 255), images)

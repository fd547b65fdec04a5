"""Random variations of training images: moved, turned, recoloured, partly covered."""

import math
from typing import Any

import tensorflow as tf

from training.recipe import Recipe

STRETCH = 0.05  # Largest difference between the zoom of width and height.
BRIGHTNESS = 60.0  # Added or subtracted at full jitter, of 255, besides the multiplication.
TINT = 40.0  # Added to or subtracted from each channel separately at full jitter: a change of hue.
ERASED = (20 / 224, 60 / 224)
"""Range of half the height and half the width of the painted rectangle, as shares of the side."""
LUMA = (0.299, 0.587, 0.114)
"""Rec. 601 weights of red, green and blue."""


def augment(images: Any, random: tf.random.Generator, recipe: Recipe) -> Any:
    """One random version of each image: (n, side, side, 3) of 0..255 to float32 of the same shape
    and range."""
    images = _recolour(_move(tf.cast(images, tf.float32), random, recipe), random, recipe)
    if recipe.erasing:
        images = _erase(images, random, recipe)
    return tf.clip_by_value(images, 0.0, 255.0)


def _sizes(images: Any) -> tuple[Any, Any]:
    """How many images there are, and their side in pixels, as a float."""
    shape = tf.shape(images)
    return shape[0], tf.cast(shape[1], tf.float32)


def _by_image(values: Any) -> Any:
    return tf.reshape(values, [-1, 1, 1, 1])


def _move(images: Any, random: tf.random.Generator, recipe: Recipe) -> Any:
    """Rotate, flip, zoom and shift in one transform about the centre; edges are mirrored."""
    n, side = _sizes(images)
    angle = random.uniform([n], -1, 1) * (recipe.rotation * math.pi / 180)
    zoom = 1 + random.uniform([n], -1, 1) * recipe.zoom
    wide = zoom * (1 + random.uniform([n], -1, 1) * (STRETCH if recipe.zoom else 0.0))
    wide *= tf.where(random.uniform([n], 0, 1) < recipe.flip, -1.0, 1.0)
    dx = random.uniform([n], -1, 1) * (recipe.shift * side)
    dy = random.uniform([n], -1, 1) * (recipe.shift * side)
    a, b = tf.cos(angle) * wide, -tf.sin(angle) * zoom
    c, d = tf.sin(angle) * wide, tf.cos(angle) * zoom
    centre = (side - 1) / 2
    still = tf.zeros_like(a)
    across = [a, b, centre * (1 - a - b) + dx]
    down = [c, d, centre * (1 - c - d) + dy]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([*across, *down, still, still], axis=1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )


def _recolour(images: Any, random: tf.random.Generator, recipe: Recipe) -> Any:
    """Brightness, contrast, saturation and tint; sometimes no colour at all."""
    n, k = tf.shape(images)[0], recipe.colour
    images *= _by_image(1 + random.uniform([n], -k, k))
    mean = tf.reduce_mean(images, [1, 2, 3], keepdims=True)
    images = mean + (images - mean) * _by_image(1 + random.uniform([n], -k, k))
    luma = tf.reduce_sum(images * tf.constant(LUMA), axis=-1, keepdims=True)
    saturation = 1 + random.uniform([n], -2 * k, 2 * k)
    saturation = tf.where(random.uniform([n], 0, 1) < recipe.grey, 0.0, saturation)
    images = luma + (images - luma) * _by_image(saturation)
    images += random.uniform([n, 1, 1, 3], -1, 1) * (k * TINT)
    return images + _by_image(random.uniform([n], -1, 1) * (k * BRIGHTNESS))


def _erase(images: Any, random: tf.random.Generator, recipe: Recipe) -> Any:
    """Paint one rectangle of a random colour over some of the images."""
    n, side = _sizes(images)
    rows = tf.reshape(tf.range(side), [1, -1, 1, 1])
    columns = tf.reshape(tf.range(side), [1, 1, -1, 1])
    y, x = (_by_image(random.uniform([n], 0, side)) for _ in range(2))
    height, width = (_by_image(random.uniform([n], *ERASED) * side) for _ in range(2))
    chosen = _by_image(random.uniform([n], 0, 1)) < recipe.erasing
    inside = (tf.abs(rows - y) < height) & (tf.abs(columns - x) < width) & chosen
    return tf.where(inside, random.uniform([n, 1, 1, 3], 0, 255), images)

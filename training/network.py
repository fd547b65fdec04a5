"""The two networks: pixels 0..255 to one logit of clickbait, and a map of where the evidence is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import layers

from clickbait.inference.images import INPUT_SIZE
from clickbait.learning.features import OUTPUT
from training import Unusable, weights
from training.recipe import Recipe

# repeats, kernel, stride, expansion, channels: EfficientNet-B0's table (Tan and Le 2019, arXiv
# 1905.11946, table 1); the Lite variant has ReLU6 in place of swish and no squeeze-and-excitation.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
BLOCKS = sum(stage[0] for stage in STAGES)
NORM_EPSILON = 1e-3
"""As the pretrained weights were trained; Keras' and PyTorch's defaults differ from it."""

CNN_FILTERS = (32, 64, 128, 128)
CNN_HIDDEN = 256
STEM_CHANNELS = 32


def _inner() -> tuple[int, ...]:
    """The channels that each block of EfficientNet-Lite0 expands to."""
    inputs = [STEM_CHANNELS]
    for repeats, _, _, _, channels in STAGES:
        inputs += [channels] * repeats
    expansions = [expansion for repeats, _, _, expansion, _ in STAGES for _ in range(repeats)]
    return tuple(of * by for of, by in zip(inputs, expansions, strict=False))


class Shape(NamedTuple):
    """The shape of an EfficientNet-Lite: the side of its input in pixels, the channels that each
    block expands to, and the channels of the last convolution. The defaults are Lite0's."""

    size: int = INPUT_SIZE
    inner: tuple[int, ...] = _inner()
    head: int = 1280


LITE0 = Shape()

Outputs = Callable[[Any], dict[str, Any]]


def build(recipe: Recipe, pretrained: bool = True, shape: Shape = LITE0) -> keras.Model:
    """The whole network of `recipe`: (n, size, size, 3) RGB 0..255 to (n, 1) logits.

    The cnn takes only the size from `shape`. EfficientNet-Lite0 has ImageNet's weights unless
    `pretrained` is False, for a caller that loads others: those fit no other number of channels.
    Random weights depend on the seed alone, so that all members start from the same point.
    """
    keras.utils.set_random_seed(recipe.seed)
    image = keras.Input((shape.size, shape.size, 3), name="image")
    if recipe.architecture == "cnn":
        return keras.Model(image, _cnn(image, recipe.dropout), name="cnn")
    features = _efficientnet_lite(image, shape, recipe.stochastic_depth)
    pooled = layers.GlobalAveragePooling2D(name="pool")(features)
    pooled = layers.Dropout(recipe.dropout, name="dropout")(pooled)
    logit = layers.Dense(1, name="logit")(pooled)
    model = keras.Model(image, logit, name="efficientnet_lite0")
    if pretrained:
        weights.load_imagenet(model)
    for layer in model.layers:
        # ImageNet's statistics are better than those of one batch of 32.
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    return model


def start(recipe: Recipe, version: Path | None) -> keras.Model:
    """The network that a training of `recipe` starts from: that of the version in the folder
    `version`, with its weights and channels, or an untrained one (None).

    Raises Unusable if the folder has another network's weights.
    """
    if version is None:
        return build(recipe, shape=Shape(recipe.size))
    path = version / "weights.npz"
    shape = Shape(recipe.size, **weights.widths(path))
    if len(shape.inner) != BLOCKS:
        raise Unusable(f"{path} has {len(shape.inner)} blocks, not {BLOCKS}.")
    model = build(recipe, pretrained=False, shape=shape)
    weights.load(path, model)
    return model


def student(path: Path) -> keras.Model:
    """The network in a file of `training.students`; raises Unusable if it holds anything else."""
    shape, tensors = weights.read_student(path)
    if len(shape["inner"]) != BLOCKS:
        raise Unusable(f"{path} has {len(shape['inner'])} blocks, not {BLOCKS}.")
    model = build(Recipe(), pretrained=False, shape=Shape(**shape))
    weights.load_student(model, tensors)
    return model


def split(model: keras.Model, frozen_blocks: int) -> tuple[keras.Model | None, keras.Model]:
    """(the frozen part or None, the trained part): cut behind the first `frozen_blocks` blocks.

    Both halves share their layers with `model`: training the second trains the whole.
    """
    if not frozen_blocks:
        return None, model
    cut = model.get_layer(f"b{frozen_blocks - 1}_add").output
    return keras.Model(model.input, cut, name="stem"), keras.Model(cut, model.output, name="tail")


def outputs(model: keras.Model) -> Outputs:
    """The function that is exported: image (1, size, size, 3) to `logit` (1, 1) and `cam` (1, side,
    side, 1), and with EfficientNet to `features` (1, head), the input of its last layer. `side` is
    `size` / 32, rounded up by EfficientNet and down by the cnn.

    EfficientNet's map is the class-activation map (Zhou et al. 2016, arXiv 1512.04150): the dense
    unit applied at each of the side x side places, so that the mean of the map + the bias is the
    logit. The cnn's dense layers are piecewise linear: for the units that are active on this image,
    the logit is a sum over the places + a constant (gradient x input, exact here). The map is each
    place's part times the number of places, so that its mean + the constant is the logit, as above.
    """
    last = model.get_layer("logit")
    if model.name != "cnn":
        features = keras.Model(model.input, model.get_layer("head_relu6").output)

        def with_cam(image: Any) -> dict[str, Any]:
            kernel = tf.reshape(last.kernel, [1, 1, -1, 1])
            places = features(image, training=False)
            cam = tf.nn.conv2d(places, kernel, 1, "SAME", name="cam")
            return {
                "logit": tf.reduce_mean(cam, [1, 2]) + last.bias,
                "cam": cam,
                OUTPUT: tf.reduce_mean(places, [1, 2]),
            }

        return with_cam

    hidden = model.get_layer("hidden")
    features = keras.Model(model.input, model.get_layer("flat").input)

    def with_parts(image: Any) -> dict[str, Any]:
        places = features(image, training=False)
        activity = hidden(tf.reshape(places, [1, -1]))
        active = tf.cast(activity > 0, tf.float32) * tf.transpose(last.kernel)
        slopes = tf.reshape(tf.matmul(active, tf.transpose(hidden.kernel)), tf.shape(places))
        cam = tf.reduce_sum(slopes * places, axis=-1, keepdims=True)
        cam *= places.shape[1] * places.shape[2]
        return {"logit": last(activity), "cam": cam}

    return with_parts


def _norm(x: Any, name: str, activation: bool = True) -> Any:
    x = layers.BatchNormalization(epsilon=NORM_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(x) if activation else x


def _conv(x: Any, channels: int, name: str, kernel: int = 1, stride: int = 1) -> Any:
    return layers.Conv2D(channels, kernel, stride, "same", use_bias=False, name=name)(x)


def _efficientnet_lite(image: Any, shape: Shape, stochastic_depth: float) -> Any:
    """Up to the last convolution's map, (n, side, side, head); input scaled as (x - 127) / 128."""
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(image)
    x = _norm(_conv(x, STEM_CHANNELS, "stem_conv", kernel=3, stride=2), "stem")
    block = 0
    for repeats, kernel, first_stride, expansion, channels in STAGES:
        for repeat in range(repeats):
            x = _block(
                x,
                f"b{block}",
                kernel=kernel,
                stride=first_stride if repeat == 0 else 1,
                inner=shape.inner[block] if expansion != 1 else None,
                channels=channels,
                drop=stochastic_depth * block / BLOCKS,
            )
            block += 1
    return _norm(_conv(x, shape.head, "head_conv"), "head")


def _block(
    x: Any, name: str, *, kernel: int, stride: int, inner: int | None, channels: int, drop: float
) -> Any:
    """One inverted residual (Sandler et al. 2018), which expands to `inner` channels, or not if
    that is None; `drop` is the probability of skipping it."""
    y = x
    if inner is not None:
        y = _norm(_conv(y, inner, f"{name}_expand"), f"{name}_expand")
    depthwise = layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, name=f"{name}_depthwise"
    )
    y = _norm(depthwise(y), f"{name}_depthwise")
    y = _norm(_conv(y, channels, f"{name}_project"), f"{name}_project", activation=False)
    if stride != 1 or x.shape[-1] != channels:
        return y
    if drop:
        y = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def _cnn(image: Any, dropout: float) -> Any:
    """Four convolutions, max pooling by 32, one hidden layer; the loss applies the sigmoid."""
    x = layers.Rescaling(1 / 255, name="scale")(image)
    for i, filters in enumerate(CNN_FILTERS):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{i}")(x)
        # 32 is 2^5: the last pool takes two of the five halvings.
        x = layers.MaxPooling2D(4 if i == len(CNN_FILTERS) - 1 else 2, name=f"pool{i}")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(CNN_HIDDEN, activation="relu", name="hidden")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(1, name="logit")(x)

"""Write `small.tflite`, a network of 224 px with random weights:
PYTHONPATH=.:layers/clickbait/python training/.venv/bin/python tests/samples/draw_small.py"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training import export

SIZE, CHANNELS = 224, 16


def draw() -> bytes:
    """The file: the colours of each 32 x 32 pixels, one hidden layer, `logit`, `cam`,
    `features`."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(image)
    x = layers.AveragePooling2D(32, padding="same")(x)
    model = keras.Model(image, layers.Conv2D(CHANNELS, 1, activation="relu")(x))
    drawn = np.random.default_rng(0).normal(0, 1, (1, 1, CHANNELS, 1))
    kernel = tf.constant(-drawn.astype(np.float32))

    def outputs(pixels: Any) -> dict[str, Any]:
        places = model(pixels)
        cam = tf.nn.conv2d(places, kernel, 1, "SAME")
        features = tf.reduce_mean(places, [1, 2])
        return {"logit": tf.reduce_mean(cam, [1, 2]), "cam": cam, "features": features}

    return export.convert(outputs, model, half=True)


if __name__ == "__main__":
    (Path(__file__).parent / "small.tflite").write_bytes(draw())

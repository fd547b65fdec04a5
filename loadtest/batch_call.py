"""Is one call of the interpreter for N images faster than one call an image, on this CPU?

python loadtest/batch_call.py [--images 10] [--rounds 15]: medians in milliseconds, and the median
of their ratios within a round. /predict-batch does what wins.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/clickbait/python")]

from clickbait.inference.images import INPUT_SIZE  # noqa: E402
from clickbait.settings import CHECKOUT_BASELINE  # noqa: E402


def interpreter(images: int) -> tuple[Interpreter, int]:
    """One whose input takes `images` at a time, and the index of that input."""
    made = Interpreter(str(CHECKOUT_BASELINE / "model.tflite"), num_threads=1)
    place = made.get_input_details()[0]["index"]
    made.resize_tensor_input(place, [images, INPUT_SIZE, INPUT_SIZE, 3])
    made.allocate_tensors()
    return made, place


def main() -> None:
    """Measure both in turn, so that a slow moment of the machine hits both."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--images", type=int, default=10)
    asked.add_argument("--rounds", type=int, default=15)
    given = asked.parse_args()
    side = (given.images, INPUT_SIZE, INPUT_SIZE, 3)
    pixels = np.random.default_rng(0).integers(0, 256, side).astype(np.float32)
    one, one_place = interpreter(1)
    many, many_place = interpreter(given.images)

    def singly() -> float:
        started = time.perf_counter()
        for image in pixels:
            one.set_tensor(one_place, image[None])
            one.invoke()
        return time.perf_counter() - started

    def together() -> float:
        started = time.perf_counter()
        many.set_tensor(many_place, pixels)
        many.invoke()
        return time.perf_counter() - started

    singly()
    together()
    rounds = [(singly(), together()) for _ in range(given.rounds)]
    apart, joint = (1e3 * statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(b / a for a, b in rounds)
    print(f"{given.images} images: {apart:.1f} ms in {given.images} calls, {joint:.1f} ms in one;")
    print(f"one call takes {ratio:.2f} times as long (median of {given.rounds} rounds)")


if __name__ == "__main__":
    main()

"""The upper limit of this machine: decode and classify one file in W processes, without a server.

python loadtest/bare_loop.py MODEL IMAGE SECONDS WORKERS: prints images a second, and milliseconds
of CPU for each.
Decoding and invocation are as in the peers (Pillow with `draft`, LiteRT, one thread).
"""

import argparse
import io
import multiprocessing
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

Count = tuple[int, float]
"""Images, and seconds of CPU."""


def work(model: str, data: bytes, seconds: float, counts: "multiprocessing.Queue[Count]") -> None:
    interpreter = Interpreter(model, num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    place, side = source["index"], int(source["shape"][1])
    outputs = interpreter.get_output_details()
    logit = min(outputs, key=lambda detail: np.prod(detail["shape"]))["index"]

    def once() -> float:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))
        image.draft("RGB", (side * 3 // 2, side * 3 // 2))
        small = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        interpreter.set_tensor(place, np.asarray(small, np.float32)[None])
        interpreter.invoke()
        return float(interpreter.get_tensor(logit).item())

    once()
    began, done, end = time.process_time(), 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        once()
        done += 1
    counts.put((done, time.process_time() - began))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="model.tflite")
    parser.add_argument("image", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("workers", type=int)
    given = parser.parse_args()
    counts: multiprocessing.Queue[Count] = multiprocessing.Queue()
    job = (given.model, given.image.read_bytes(), given.seconds, counts)
    processes = [multiprocessing.Process(target=work, args=job) for _ in range(given.workers)]
    for process in processes:
        process.start()
    images, cpu = (sum(of) for of in zip(*(counts.get() for _ in processes), strict=True))
    print(images / given.seconds, 1e3 * cpu / images)


if __name__ == "__main__":
    main()

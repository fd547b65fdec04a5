"""The upper limit of this machine: decode and classify one file in W processes, without a server.

python loadtest/bare_loop.py MODEL IMAGE SECONDS WORKERS: prints images a second.
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


def work(model: str, data: bytes, seconds: float, counts: "multiprocessing.Queue[int]") -> None:
    interpreter = Interpreter(model, num_threads=1)
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]["index"]
    outputs = interpreter.get_output_details()
    logit = min(outputs, key=lambda detail: np.prod(detail["shape"]))["index"]

    def once() -> float:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))
        image.draft("RGB", (336, 336))
        small = image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
        interpreter.set_tensor(place, np.asarray(small, np.float32)[None])
        interpreter.invoke()
        return float(interpreter.get_tensor(logit).item())

    once()
    done, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        once()
        done += 1
    counts.put(done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="model.tflite")
    parser.add_argument("image", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("workers", type=int)
    given = parser.parse_args()
    counts: multiprocessing.Queue[int] = multiprocessing.Queue()
    job = (given.model, given.image.read_bytes(), given.seconds, counts)
    processes = [multiprocessing.Process(target=work, args=job) for _ in range(given.workers)]
    for process in processes:
        process.start()
    print(sum(counts.get() for _ in processes) / given.seconds)


if __name__ == "__main__":
    main()

"""The most this machine can do: decode and invoke one file on W processes, and no server at all.

python loadtest/bare_loop.py MODEL IMAGE SECONDS WORKERS: prints images a second.
Decode and invocation are those of the peers (Pillow with `draft`, LiteRT, one thread).
"""

import io
import multiprocessing
import sys
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


if __name__ == "__main__":
    model, image, seconds, workers = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    counts: "multiprocessing.Queue[int]" = multiprocessing.Queue()
    data = Path(image).read_bytes()
    processes = [
        multiprocessing.Process(target=work, args=(model, data, seconds, counts))
        for _ in range(workers)
    ]
    for process in processes:
        process.start()
    print(sum(counts.get() for _ in processes) / seconds)

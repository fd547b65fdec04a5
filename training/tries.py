"""Compare networks that could ship, as TFLite files, on the validation side of the manifest:

    python -m training.tries --data DIR --out DIR [training/students/NAME.npz ...]

The first row is the model that ships. Each network gets a calibration fitted on the validation
side and on collections that are new to it (`calibrate.honest`). `hqdefault` is the same images as
YouTube serves them: 480 x 360 JPEGs with black bars. The time of an invocation is a share of the
shipped model's, in one thread; both run in turn, so that other work on the machine slows both.
The test side is not read.

OUT/NAME gets the file and its metadata, for `loadtest.owners --shipped OUT/NAME`.
"""

import argparse
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from clickbait import LABELS
from clickbait.inference import calibration, images
from clickbait.inference.calibration import expected_calibration_error
from clickbait.learning.features import FeatureReader
from clickbait.learning.metrics import auc
from training import calibrate, export, network, sides, version
from training.recipe import Recipe

ROUNDS = 200
"""Invocations of each network; the median of the shares moves by 0.01 between runs."""
QUALITY = 85


def framed(data: bytes) -> bytes:
    """The image as YouTube's `hqdefault`: 16:9 between black bars, 480 x 360."""
    with Image.open(io.BytesIO(data)) as image:
        picture = image.convert("RGB").resize((480, 270), Image.Resampling.BICUBIC)
    out = Image.new("RGB", (480, 360))
    out.paste(picture, (0, 45))
    file = io.BytesIO()
    out.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def shares(files: Sequence[bytes]) -> list[float]:
    """The time of one invocation of each file as a share of the first one's."""
    interpreters = [Interpreter(model_content=file, num_threads=1) for file in files]
    for one in interpreters:
        one.allocate_tensors()
        (image,) = one.get_input_details()
        noise = np.random.default_rng(0).integers(0, 256, image["shape"])
        one.set_tensor(image["index"], noise.astype(np.float32))
        one.invoke()
    seconds = np.empty((ROUNDS, len(files)))
    for i in range(ROUNDS):
        for k, one in enumerate(interpreters):
            began = time.perf_counter()
            one.invoke()
            seconds[i, k] = time.perf_counter() - began
    print(f"one invocation of the first: {1e3 * np.median(seconds[:, 0]):.1f} ms")
    return [float(share) for share in np.median(seconds / seconds[:, :1], axis=0)]


def row(
    name: str, file: bytes, data: Sequence[bytes], labels: npt.NDArray[np.int64]
) -> tuple[str, dict[str, Any]]:
    """The row of the table, with {} for the time, and the metadata of the network."""
    size = FeatureReader(file).size
    logits = [
        export.run(
            file, np.stack([images.model_input(images.read(one), size) for one in some]), ["logit"]
        )["logit"]
        .ravel()
        .astype(np.float64)
        for some in (data, [framed(one) for one in data])
    ]
    fitted = calibrate.honest(logits[0], labels, calibrate.strangers(calibrate.STRANGERS))
    low, high = calibration.uncertain_band(Recipe().promise)
    cells = [name, f"{size} px"]
    for z in logits:
        p = fitted.apply(z)
        cells += [
            f"{auc(labels, z):.4f}",
            f"{((p >= version.THRESHOLD) == labels).mean():.3f}",
            f"{expected_calibration_error(p, labels):.3f}",
            f"{((low < p) & (p < high)).mean():.2f}",
        ]
    described = {"preprocessing": {"size": size}, "calibration": fitted.as_dict()}
    return f"| {' | '.join(cells)} | {{:.2f}} | {len(file) / 1e6:.1f} |", described


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("students", nargs="*", type=Path, help="files of weights")
    parser.add_argument("--data", type=Path, required=True, help="folder with the class folders")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    given = parser.parse_args()
    records = sides.read_manifest(version.BASELINE / "manifest.csv")
    records = [r for r in records if r.side == "validation"]
    data = [(given.data / r.file).read_bytes() for r in records]
    labels = np.array([LABELS.index(r.label) for r in records], np.int64)
    files = {"shipped": version.file_of(version.BASELINE)}
    files |= {path.stem: export.classifier(network.student(path)) for path in given.students}
    rows = []
    for name, file in files.items():
        text, described = row(name, file, data, labels)
        rows.append(text)
        folder = given.out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.tflite").write_bytes(file)
        (folder / "metadata.json").write_text(json.dumps(described, indent=2))
    for text, share in zip(rows, shares(list(files.values())), strict=True):
        print(text.format(share))


if __name__ == "__main__":
    main()

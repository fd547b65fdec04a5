"""A small drawn dataset, and one finished version of each architecture for all tests."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import train

ROOT = Path(__file__).parents[2]
FOLDERS = {"clickbait_real": (20, 60, 110), "clickbait_fake": (210, 70, 20)}
QUICK = {
    "cnn": ["--architecture", "cnn", "--epochs", "2", "--batch-size", "8"],
    "efficientnet_lite0": [
        *("--epochs", "1", "--views", "2", "--members", "2"),
        *("--frozen-blocks", "11", "--batch-size", "8"),
    ],
}


def draw_images(folder: Path, count: int, seed: int = 0) -> Path:
    """`count` images of each class: mosaics, unlike each other but for the class's tint."""
    rng = np.random.default_rng(seed)
    for label, tint in FOLDERS.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            mosaic = (rng.integers(0, 256, (9, 16, 3)) + np.array(tint)) // 2
            image = Image.fromarray(mosaic.astype(np.uint8)).resize((160, 90))
            image.save(folder / label / f"{seed}-{i}.png")
    return folder


@pytest.fixture(scope="session")
def draw() -> Callable[..., Path]:
    return draw_images


@pytest.fixture(scope="session")
def quick() -> dict[str, list[str]]:
    """Flags of a training of seconds, by architecture."""
    return QUICK


@pytest.fixture(scope="session")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty images a class, a copy, a re-saved copy, a broken one and one under both labels."""
    folder = draw_images(tmp_path_factory.mktemp("images"), 20)
    fake = folder / "clickbait_fake"
    (fake / "copy.png").write_bytes((fake / "0-0.png").read_bytes())
    Image.open(fake / "0-1.png").save(fake / "resaved.jpg", quality=80)
    (fake / "broken.png").write_bytes((fake / "0-2.png").read_bytes()[:200])
    both = np.random.default_rng(9).integers(0, 256, (9, 16, 3), np.uint8)
    for label in FOLDERS:
        Image.fromarray(both).resize((160, 90)).save(folder / label / "both.png")
    (folder / "clickbait_real" / ".DS_Store").write_bytes(b"x")
    lines = [f"{label}/0-{i}.png,{label[-4:]}{i // 2}" for label in FOLDERS for i in range(20)]
    (folder / "groups.csv").write_text("\n".join(["file,group", *lines]) + "\n")
    return folder


@pytest.fixture(scope="session")
def versions(dirty: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The finished version of an architecture, trained on `dirty` when it is first asked for."""
    made: dict[str, Path] = {}

    def version(architecture: str) -> Path:
        if architecture not in made:
            out = tmp_path_factory.mktemp("versions") / architecture
            assert train.main(["--data", str(dirty), "--out", str(out), *QUICK[architecture]]) == 0
            made[architecture] = out
        return made[architecture]

    return version


@pytest.fixture(scope="session")
def start() -> Callable[[list[str]], subprocess.Popen[str]]:
    """Start the command in a process of its own."""

    def begin(arguments: list[str]) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(ROOT), str(ROOT / "layers/clickbait/python")])
        return subprocess.Popen(
            [sys.executable, "-m", "training.train", *arguments],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return begin

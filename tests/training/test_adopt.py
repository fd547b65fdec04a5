"""A network that was trained elsewhere becomes a version with all its files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clickbait.inference.classifier import Classifier
from clickbait.learning import replay
from training import adopt, network, sides, version, weights, world
from training.recipe import RETRAINING
from training.sides import Record

STUDENT = Path(__file__).parents[2] / "training/students/w56_192.npz"


@pytest.fixture
def data(draw: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Drawn images, of which the shipped manifest has one on the test side; that file is broken, so
    it would be reported if it were read."""
    folder = draw(tmp_path / "data", 12)
    broken = "clickbait_real/0-3.png"
    (folder / broken).write_bytes(b"x")
    known = Record(broken, "clickbait_real", sha256="f" * 64, phash="0" * 16, side="test")
    monkeypatch.setattr(version, "BASELINE", tmp_path / "baseline")
    version.BASELINE.mkdir()
    sides.write_manifest(version.BASELINE / "manifest.csv", [known])
    return folder


def test_a_student_becomes_a_version_without_a_look_at_the_test_side(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    flags = ["--data", str(data), "--side", "validation"]
    assert adopt.main([str(STUDENT), "--out", str(out), *flags]) == 0

    model, shape = Classifier.load(out), weights.read_student(STUDENT)[0]
    records = list(sides.read_manifest(out / "manifest.csv"))
    assert len(records) == 23 and not [r for r in records if r.reason]
    measured = [r for r in records if r.side == "validation"]
    metadata = model.metadata
    assert (model.size, metadata["preprocessing"]["size"]) == (shape["size"], shape["size"])
    assert metadata["metrics"]["measured_on"] == "the validation side"
    assert metadata["metrics"]["images"] == len(measured)
    assert metadata["recipe"]["student"] == STUDENT.name
    assert "Measured on the validation side" in (out / "card.md").read_text()
    assert {p.name for p in (out / "plots").iterdir()} >= {"roc.png", "reliability.png"}

    # A fine-tuning starts from the same network.
    recipe = replace(RETRAINING, size=model.size)
    pixels = np.random.default_rng(0).integers(0, 256, (2, model.size, model.size, 3), np.uint8)
    answers = [
        np.ravel(one(pixels.astype(np.float32), training=False))
        for one in (network.start(recipe, out), network.student(STUDENT))
    ]
    assert answers[0] == pytest.approx(answers[1], abs=1e-5)
    assert weights.widths(out / "weights.npz") == {k: shape[k] for k in ("inner", "head")}

    # A small update replays its images, and the gate computes them anew for a fine-tuned network.
    file = (out / "model.tflite").read_bytes()
    stored = replay.read((out / replay.FILE).read_bytes())
    assert stored.network == metadata["sha256"]
    assert list(stored.measured.sha256) == [r.sha256 for r in measured]
    places = world.read(out / "world.npz", out)
    assert places is not None
    again = places.replayed(file)
    assert again is not None
    assert again.test.outputs.logits == pytest.approx(stored.test.outputs.logits, abs=0.2)


@pytest.mark.parametrize(
    ("student", "flags", "says"),
    [
        (Path(__file__), [], "not a student's file"),
        (STUDENT, ["--data", "nowhere"], "not a folder"),
    ],
)
def test_a_bad_argument_gets_one_line_and_status_2(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    student: Path,
    flags: list[str],
    says: str,
) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert adopt.main([str(student), "--data", str(data), *out, *flags]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1

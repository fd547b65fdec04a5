"""python -m clickbait predict: one JSON line for each image, bad ones included."""

import json
import subprocess
import sys
from pathlib import Path

from clickbait.__main__ import main
from tests.samples.drawn import encoded, picture


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_file_gets_a_line_and_a_bad_one_does_not_stop_the_rest(tmp_path: Path, capsys) -> None:
    good, bad, gone = tmp_path / "good.jpg", tmp_path / "bad.jpg", tmp_path / "gone.jpg"
    good.write_bytes(encoded(picture()))
    bad.write_bytes(b"GIF89a")
    assert main(["predict", str(good), str(bad), str(gone), str(good)]) == 1
    first, second, third, last = lines(capsys.readouterr().out)
    assert first["file"] == last["file"] == str(good)
    assert first["probability"] == last["probability"]
    assert "a GIF" in second["error"]
    assert third == {"file": str(gone), "error": "No such file or directory"}


def test_success_is_exit_status_0_and_explain_adds_the_heat_map(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.png").write_bytes(encoded(picture(), "PNG"))
    assert main(["predict", str(tmp_path / "a.png"), "--explain"]) == 0
    (line,) = lines(capsys.readouterr().out)
    assert len(line["heatmap"]) == 6


def test_it_imports_no_storage_no_web_and_no_aws(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(picture()))
    script = (
        "import sys; from clickbait.__main__ import main; "
        f"assert main(['predict', {str(tmp_path / 'a.jpg')!r}]) == 0; "
        "print(*sys.modules, sep=',', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.strip().split(","))
    assert "clickbait.inference.prediction" in loaded
    for room in ("clickbait.store", "clickbait.web", "clickbait.aws", "boto3", "fastapi"):
        assert room not in loaded


def test_a_missing_model_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "clickbait",
        "predict",
        "x.jpg",
        "--model",
        str(tmp_path / "none"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("clickbait: No model in")

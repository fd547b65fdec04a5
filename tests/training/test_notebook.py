"""The notebook: it runs from top to bottom, and the committed one is small and complete."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

from clickbait.inference.classifier import Classifier
from tests.samples import folder
from tests.waiting import DEADLINE
from training import notebook

QUICK = ("--architecture", "cnn", "--size", "64", "--epochs", "2")
MOST_BYTES = 300_000
SECTIONS = ("1. Preprocessing", "2. Training", "3. Evaluation", "4. Results")
PICTURES = 7
"""Cells that show one."""

OTHER = """
import sys
from pathlib import Path
from training import notebook

notebook.NOTEBOOK = Path(sys.argv[1])
sys.exit(notebook.main(sys.argv[2:]))
"""


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a process of its own: nbclient leaves its event loop to the end of one."""
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def check(finished: NotebookNode) -> None:
    """Every cell ran once, in order and without a warning, and shows what it should."""
    nbformat.validate(finished)
    cells = [cell for cell in finished.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert [o for o in outputs if o.get("name") == "stderr" or o.output_type == "error"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES
    texts = [cell.source for cell in finished.cells if cell.cell_type == "markdown"]
    assert [any(f"## {name}" in text for text in texts) for name in SECTIONS] == [True] * 4


def test_it_runs_from_top_to_bottom_on_a_folder_of_images(tmp_path: Path) -> None:
    data, out = folder.draw(tmp_path / "data", 16), tmp_path / "out"
    done = run("-m", "training.notebook", "--data", str(data), "--out", str(out), *QUICK)
    assert done.returncode == 0, done.stderr
    check(nbformat.read(out / "notebook.ipynb", as_version=4))
    assert Classifier.load(out / "version").size == 64


def test_the_committed_one_is_small_and_has_every_output() -> None:
    committed = nbformat.read(notebook.NOTEBOOK, as_version=4)
    check(committed)
    assert notebook.NOTEBOOK.stat().st_size <= MOST_BYTES


def test_the_committed_outputs_are_of_drawings(tmp_path: Path) -> None:
    """Its predictions name files, and all of them are drawn ones."""
    drawn = folder.draw(tmp_path / "data")
    names = {str(path.relative_to(drawn)) for path in drawn.rglob("*.jpg")}
    text = notebook.NOTEBOOK.read_text(encoding="utf-8")
    assert text.count("Checking images: 120") == 1 == len(names) / folder.EACH / 2
    shown = [line for line in text.splitlines() if ".jpg |" in line]
    assert shown and all(any(name in line for name in names) for line in shown)


def test_a_cell_that_fails_ends_the_run_and_keeps_what_came_before(tmp_path: Path) -> None:
    cells = [new_code_cell(source) for source in ("1 + 1", "1 / 0", "2 + 2")]
    failing, out = tmp_path / "failing.ipynb", tmp_path / "out"
    nbformat.write(new_notebook(cells=cells), failing)
    done = run("-c", OTHER, str(failing), "--data", str(tmp_path), "--out", str(out))
    assert (done.returncode, "error: ZeroDivisionError" in done.stderr) == (2, True), done
    finished = nbformat.read(out / failing.name, as_version=4)
    assert [len(cell.outputs) for cell in finished.cells] == [1, 1, 0]


def test_a_missing_folder_and_a_full_one_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    for data, out, says in (("nowhere", "out", "nowhere is not"), ("", "", "is not empty")):
        given = ["--data", str(tmp_path / data), "--out", str(tmp_path / out)]
        assert notebook.main(given) == 2
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1


def test_the_log_of_tensorflow_is_left_out_and_warnings_are_not() -> None:
    log = "I0000 00:00:1.2 3 port.cc:153] oneDNN custom operations are on.\n"
    warning = "a.py:1: UserWarning: look\n"
    both = new_output("stream", name="stderr", text=log + warning)
    assert notebook.without_log(both) == new_output("stream", name="stderr", text=warning)
    assert notebook.without_log(new_output("stream", name="stderr", text=log)) is None
    assert notebook.without_log(printed := new_output("stream", name="stdout", text=log)) == printed

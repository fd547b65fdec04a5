"""Run notebook.ipynb from top to bottom: `python -m training.notebook --data DIR --out DIR`.

OUT gets `notebook.ipynb` with its outputs, and the `version` that it trained. Other arguments are
those of `training.train`, for instance `--epochs 3`.
"""

import argparse
import os
import re
import shlex
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

NOTEBOOK = Path(__file__).with_suffix(".ipynb")
START_SECONDS = 600  # Until the kernel answers: machines are busy.
LOG = re.compile(r"(?m)^(?:[IW]\d{4} |INFO: |WARNING: All log messages before absl::).*\n?")
"""TensorFlow's log in C++, which no setting ends. Warnings of Python stay."""


def execute(notebook: nbformat.NotebookNode, variables: dict[str, str], folder: Path) -> None:
    """Run the cells of `notebook` in a fresh kernel that starts in `folder` and has the environment
    `variables`, and keep their outputs. Raises CellExecutionError at the first cell that fails."""
    with TemporaryDirectory() as scratch:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            # Files in place of ports.
            config=Config(
                ConnectionFileMixin={"connection_file": f"{scratch}/kernel.json"},
                KernelManager={"transport": "ipc"},
            ),
            timeout=None,
            startup_timeout=START_SECONDS,
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        )
        # IPYTHONDIR: without the settings and the history of the user.
        client.execute(env=os.environ | {"IPYTHONDIR": scratch} | variables)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [kept for each in cell.outputs if (kept := without_log(each))]


def without_log(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """`output` without lines of LOG; None if nothing else is in it."""
    if output.get("name") == "stderr":
        output.text = LOG.sub("", output.text)
    return None if output.get("text") == "" else output


def main(argv: list[str] | None = None) -> int:
    """The command. Returns 0 if every cell ran, 2 with one line on stderr if not."""
    parser = argparse.ArgumentParser(
        prog="training.notebook", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the class folders")
    parser.add_argument("--out", type=Path, required=True, help="new folder for the outputs")
    given, more = parser.parse_known_args(argv)
    data, out = given.data.resolve(), given.out.resolve()
    if not data.is_dir():
        print(f"error: --data {given.data} is not a folder.", file=sys.stderr)
        return 2
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        print(f"error: --out {given.out} is not empty: choose a new folder.", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    variables = {"DATA": str(data), "OUT": str(out / "version"), "ARGS": shlex.join(more)}
    try:
        execute(notebook, variables, NOTEBOOK.parent)
    except CellExecutionError as error:
        print(f"error: {error.ename}: {error.evalue}", file=sys.stderr)
        return 2
    finally:
        nbformat.write(notebook, out / NOTEBOOK.name)
    print(f"Notebook {given.out / NOTEBOOK.name}, version {given.out / 'version'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

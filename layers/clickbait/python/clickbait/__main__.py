"""python -m clickbait predict FILE...: one JSON line an image; a bad file gives its error and the
rest go on."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from clickbait.errors import InvalidModel, Problem
from clickbait.inference.classifier import Classifier
from clickbait.inference.prediction import answer
from clickbait.settings import MAX_IMAGE_BYTES, SettingsError, settings


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 where a file could not be answered, or 2 where nothing could."""
    parser = argparse.ArgumentParser(prog="python -m clickbait", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    predict = commands.add_parser("predict", help="classify images, one JSON line each")
    predict.add_argument("files", nargs="+", metavar="FILE", type=Path)
    predict.add_argument(
        "--model", metavar="PATH", type=Path, help="a version's folder or its model.tflite"
    )
    predict.add_argument("--explain", action="store_true", help="add the 7 x 7 heat map")
    given = parser.parse_args(arguments)
    try:
        config = settings()
        if given.model:
            config = config.model_copy(update={"model_path": given.model})
        model = Classifier.load(config.model_folder)
    except (InvalidModel, SettingsError) as error:
        print(f"clickbait: {error}", file=sys.stderr)
        return 2
    failed = 0
    for file in given.files:
        line = _line(model, file, given.explain)
        failed += "error" in line
        print(json.dumps({"file": str(file)} | line), flush=True)
    return 1 if failed else 0


def _line(model: Classifier, file: Path, explain: bool) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:  # one byte past the limit is enough to know
            return answer(model, opened.read(MAX_IMAGE_BYTES + 1), explain).prediction
    except Problem as problem:
        return {"error": problem.detail}
    except OSError as error:
        return {"error": error.strerror or str(error)}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # the reader has seen enough: `| head`
        sys.stderr.close()
        sys.exit(1)

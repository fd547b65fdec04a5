"""python -m clickbait predict FILE...: one JSON line for each image, or an error for a bad file."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from clickbait.errors import InvalidModel, Problem
from clickbait.inference.classifier import Classifier
from clickbait.inference.prediction import answer
from clickbait.settings import MAX_IMAGE_BYTES, SettingsError, settings


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, 1 if a file failed, or 2 if the model or a setting is invalid."""
    parser = argparse.ArgumentParser(prog="python -m clickbait", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    predict = commands.add_parser("predict", help="classify images: one JSON line for each")
    predict.add_argument("files", nargs="+", metavar="FILE", type=Path)
    predict.add_argument(
        "--model",
        metavar="PATH",
        type=Path,
        help="folder or model.tflite of a version; default: MODEL_PATH",
    )
    predict.add_argument("--explain", action="store_true", help="add both maps of evidence")
    options = parser.parse_args(arguments)
    try:
        config = settings()
        if options.model:
            config = replace(config, model_path=options.model)
        model = Classifier.load(config.model_folder)
    except (InvalidModel, SettingsError) as error:
        print(f"clickbait: {error}", file=sys.stderr)
        return 2
    failed = 0
    for file in options.files:
        line = _line(model, file, options.explain)
        failed += "error" in line
        print(json.dumps({"file": str(file)} | line), flush=True)
    return 1 if failed else 0


def _line(model: Classifier, file: Path, explain: bool) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:  # One byte past the limit shows that it is too large.
            return answer(model, opened.read(MAX_IMAGE_BYTES + 1), explain).prediction
    except Problem as problem:
        return {"error": problem.detail}
    except OSError as error:
        return {"error": error.strerror or str(error)}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # The reader stopped early, as `| head` does.
        sys.stderr.close()
        sys.exit(1)

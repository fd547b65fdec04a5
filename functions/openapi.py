"""Write the one OpenAPI document of all functions: python -m functions.openapi [FILE]"""

import json
import sys
from pathlib import Path
from typing import Any

from clickbait.web import ProblemDocument
from functions.predict.app import app as predict

APPS = (predict,)


def document() -> dict[str, Any]:
    """The functions' documents merged: the first one's title, everybody's routes and schemas."""
    merged: dict[str, Any] = {}
    for app in APPS:
        one = app.openapi()
        if not merged:
            merged = one
            continue
        merged["paths"].update(one["paths"])
        merged["components"]["schemas"].update(one["components"]["schemas"])
    schemas = merged["components"]["schemas"]
    schemas["ProblemDocument"] = ProblemDocument.model_json_schema(
        ref_template="#/components/schemas/{model}"
    )
    # FastAPI documents its own 422 body where a route has parameters; every 422 here is a problem
    # document.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    merged["components"]["schemas"] = dict(sorted(schemas.items()))
    return merged


def text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "openapi.json").write_text(text(), encoding="utf-8")

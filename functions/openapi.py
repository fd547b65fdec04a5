"""Write the one OpenAPI document of all functions: python -m functions.openapi [FILE]"""

import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from functions.admin import evaluation_schemas, monitoring_schemas
from functions.admin import schemas as admin_schemas
from functions.admin.app import app as admin
from functions.batch import schemas as batch_schemas
from functions.batch.app import app as batch
from functions.predict import schemas as predict_schemas
from functions.predict.app import app as predict

APPS: tuple[FastAPI, ...] = (predict, batch, admin)
SCHEMAS = (predict_schemas, batch_schemas, admin_schemas, evaluation_schemas, monitoring_schemas)
"""The modules with the shapes that the routes of APPS name."""


class ProblemDocument(BaseModel):
    """RFC 9457 problem details; further members say which limit and which value."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="a page about it", examples=["/docs/problems/bad-request"])
    title: str
    status: int
    detail: str = Field(description="what is wrong with this request, and what to do instead")
    request_id: str


def document() -> dict[str, Any]:
    """The functions' documents merged: the first one's title, everybody's routes and schemas."""
    documents = [app.openapi() for app in APPS]
    paths: dict[str, Any] = {}
    schemes: dict[str, Any] = {}
    for one in documents:
        for path, operations in one["paths"].items():
            paths.setdefault(path, {}).update(operations)
        schemes |= one.get("components", {}).get("securitySchemes", {})
    shapes: list[Any] = [
        shape
        for module in SCHEMAS
        for shape in vars(module).values()
        if isinstance(shape, type) and issubclass(shape, BaseModel) and shape is not BaseModel
    ]
    _, definitions = models_json_schema(
        [(shape, "serialization") for shape in (ProblemDocument, *shapes)],
        ref_template="#/components/schemas/{model}",
    )
    # Not FastAPI's own shapes of a 422: every 422 here is a problem document.
    components = {
        "schemas": dict(sorted(definitions["$defs"].items())),
        "securitySchemes": schemes,
    }
    return documents[0] | {"paths": paths, "components": components}


def text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "openapi.json").write_text(text(), encoding="utf-8")

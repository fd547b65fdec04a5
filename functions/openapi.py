"""Write the one OpenAPI document of all functions: python -m functions.openapi [FILE]"""

import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from clickbait.web.app import create_app
from functions.admin import data_schemas, evaluation_schemas, monitoring_schemas
from functions.admin import schemas as admin_schemas
from functions.admin.app import app as admin
from functions.batch import schemas as batch_schemas
from functions.batch.app import app as batch
from functions.predict import app as predict
from functions.predict import schemas as predict_schemas
from functions.predict.routes import OPERATIONS

APPS: tuple[FastAPI, ...] = (batch, admin)
SCHEMAS = (
    predict_schemas,
    batch_schemas,
    admin_schemas,
    data_schemas,
    evaluation_schemas,
    monitoring_schemas,
)
"""The modules with the schemas that the routes of APPS name."""


class ProblemDocument(BaseModel):
    """Problem details (RFC 9457). Further members name the limit and the value."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="a page about this kind of problem", examples=["/docs/problems/bad-request"]
    )
    title: str
    status: int
    detail: str = Field(description="what is wrong, and what to do instead")
    request_id: str


def document() -> dict[str, Any]:
    """The merged documents of all functions, under the title of `predict`."""
    titled = create_app(predict.NAME, predict.SUMMARY).openapi()
    documents = [titled | {"paths": OPERATIONS}, *(app.openapi() for app in APPS)]
    paths: dict[str, Any] = {}
    schemes: dict[str, Any] = {}
    for one in documents:
        for path, operations in one["paths"].items():
            paths.setdefault(path, {}).update(operations)
        schemes |= one.get("components", {}).get("securitySchemes", {})
    models: list[Any] = [
        model
        for module in SCHEMAS
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel
    ]
    _, definitions = models_json_schema(
        [(model, "serialization") for model in (ProblemDocument, *models)],
        ref_template="#/components/schemas/{model}",
    )
    # FastAPI's own schemas for a 422 are left out, because every 422 here is a problem document.
    components = {
        "schemas": dict(sorted(definitions["$defs"].items())),
        "securitySchemes": schemes,
    }
    return documents[0] | {"paths": paths, "components": _with_references(components)}


def _with_references(schema: Any) -> Any:
    """`schema` with a reference to N in place of each `{"x-schema": N}`, which a model writes if
    the schema N is of a function that it must not import."""
    match schema:
        case {"x-schema": name, **others}:
            return {"$ref": f"#/components/schemas/{name}"} | others
        case dict():
            return {key: _with_references(value) for key, value in schema.items()}
        case list():
            return [_with_references(value) for value in schema]
    return schema


def text() -> str:
    """The document as a file."""
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "openapi.json").write_text(text(), encoding="utf-8")

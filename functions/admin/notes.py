"""Name a version, or star it."""

from dataclasses import asdict
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from clickbait import errors
from clickbait.store import version_notes
from clickbait.web.access import PROTECTED, Admin
from clickbait.web.app import documented, json_request, json_response
from clickbait.web.bodies import json_body
from functions.admin import models, stores

router = APIRouter()

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]


def _as_sent(schema: dict[str, Any]) -> None:
    """A field that is left out has no default: it stays as it is."""
    schema["minProperties"] = 1
    for field in schema["properties"].values():
        field.pop("default", None)


class VersionNote(BaseModel):
    """Changes to a version's name or star. What is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_as_sent)

    name: Name | None = Field(None, description="a name for people; null for none")
    starred: bool = Field(False, description="`GET /models?starred=true` lists those with a star")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("send `name`, `starred` or both")
        return self


@router.patch(
    "/models/{version}",
    summary="Name a version, or star it",
    responses=documented("NamedVersion", errors.NotFound, errors.BadRequest, *PROTECTED),
    openapi_extra=json_request("VersionNote"),
)
def change(
    _: Admin,
    version: models.Version,
    body: Annotated[VersionNote, Depends(json_body(VersionNote))],
) -> Response:
    """The name is for people; the version and its files stay as they are."""
    models.metadata_of(version)
    changes = body.model_dump(include=body.model_fields_set)
    if body.name:
        changes["name"] = body.name.strip()
    note = version_notes.change(stores.table(), version, changes)
    return json_response({"version": version} | asdict(note))

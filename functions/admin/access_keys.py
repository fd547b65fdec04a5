"""Named keys for callers: make, list and revoke them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from clickbait import errors
from clickbait.errors import BadRequest
from clickbait.store.access_keys import AccessKey, AccessKeys, Role
from clickbait.web.access import PROTECTED, Admin
from clickbait.web.app import documented, json_request, json_response
from clickbait.web.bodies import json_body
from functions.admin import stores

router = APIRouter()

MAX_QUOTA = 10_000_000
LAST_YEAR = 9998
"""A time late in 9999 with an offset has no date in UTC."""

KeyId = Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="a key's id")]


class NewKey(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1, max_length=80, pattern=r"\S", description="who or what uses the key"
    )
    role: Role = Field(
        description="member: read, run batches, send corrections, predict; predict: predict alone"
    )
    quota: int | None = Field(
        None, ge=1, le=MAX_QUOTA, description="images a day that /predict and /predict-batch take"
    )
    ends: AwareDatetime | None = Field(
        None, description="when the key stops working, with a time zone", strict=False
    )


def _keys() -> AccessKeys:
    return AccessKeys(stores.table())


@router.get("/keys", summary="Keys, the newest first", responses=documented("Keys", *PROTECTED))
def keys(_: Admin) -> Response:
    """Each with its state and how many images it classified today. The keys themselves are not
    stored, so nobody can see them again."""
    store, now = _keys(), datetime.now(UTC)
    found = store.all()
    day = now.date().isoformat()
    used = stores.at_once(lambda key_id: store.used(key_id, day), [key.id for key in found])
    items = [_shown(key, now, today) for key, today in zip(found, used, strict=True)]
    return json_response({"items": items, "count": len(items)})


@router.post(
    "/keys",
    summary="Make a key",
    status_code=201,
    responses=documented(
        "MadeKey",
        errors.Conflict,
        errors.BadRequest,
        errors.PayloadTooLarge,
        *PROTECTED,
        status=201,
    ),
    openapi_extra=json_request("NewKey"),
)
def make(by: Admin, body: Annotated[NewKey, Depends(json_body(NewKey))]) -> Response:
    """`key` is in this answer and nowhere else: give it to its user now. Send it as
    `Authorization: Bearer KEY`."""
    now = datetime.now(UTC)
    if body.ends is not None and body.ends.year > LAST_YEAR:
        raise BadRequest(f"ends: the year must be {LAST_YEAR} at most. Leave it out for no end.")
    if body.ends is not None and body.ends <= now:
        raise BadRequest(f"ends: {body.ends.isoformat()} is in the past. Name a later time.")
    key, text = _keys().create(body.name.strip(), body.role, by, body.quota, body.ends)
    return json_response(_shown(key, now, 0) | {"key": text}, status=201)


@router.post(
    "/keys/{key}/revoke",
    summary="Revoke a key for good",
    responses=documented("Key", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def revoke(_: Admin, key: KeyId) -> Response:
    """It stops working within a minute. Repeating this changes nothing."""
    store, now = _keys(), datetime.now(UTC)
    return json_response(_shown(store.revoke(key), now, store.used(key, now.date().isoformat())))


def _shown(key: AccessKey, now: datetime, used_today: int) -> dict[str, Any]:
    return key.public(now) | {"used_today": used_today}

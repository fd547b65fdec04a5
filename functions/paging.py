"""Lists in pages: `limit` and `cursor` in, `{"items", "count", "next"}` out."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any

from fastapi import Query

from clickbait.errors import BadRequest

MAX_LIMIT = 100
"""The most items on a page. Each may take a call to S3, and a page must be ready within seconds."""
DEFAULT_LIMIT = 20

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="the most items on this page")]
Cursor = Annotated[str | None, Query(max_length=2_000, description="`next` of the previous page")]


def page(items: list[Any], following: str | None) -> dict[str, Any]:
    """The body of a page. `following` is the cursor of the next one, None at the end."""
    return {"items": items, "count": len(items), "next": following}


def encode_cursor(list_name: str, place: str | None) -> str | None:
    """A cursor for `place` in the list `list_name`. Only that list accepts it."""
    if not place:
        return None
    return urlsafe_b64encode(f"{list_name}:{place}".encode()).decode().rstrip("=")


def decode_cursor(list_name: str, cursor: str | None) -> str | None:
    """The place that `cursor` encodes; raises BadRequest if it is not from the list `list_name`."""
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        text = ""
    name, _, place = text.partition(":")
    if name != list_name or not place or encode_cursor(list_name, place) != cursor:
        raise invalid_cursor()
    return place


def invalid_cursor() -> BadRequest:
    """The problem of a cursor that is not from this list."""
    return BadRequest(
        "query.cursor: invalid cursor. Use `next` from the previous page.",
        errors=[{"field": "query.cursor", "message": "not a cursor of this list"}],
    )

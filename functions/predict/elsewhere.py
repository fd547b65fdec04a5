"""The JSON body of POST /predict, which names an image that is not in the request.

A module of its own, imported by the first request with such a body: Pydantic would make each cold
start longer.
"""

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from clickbait import youtube
from clickbait.errors import BadRequest
from clickbait.settings import settings
from clickbait.store import presigned
from clickbait.web.bodies import json_body


class Elsewhere(BaseModel):
    """An upload, or the thumbnail of a video."""

    model_config = ConfigDict(extra="forbid")

    key: str | None = Field(None, pattern=f"^{presigned.UPLOAD_KEY.pattern}$")
    youtube: str | None = Field(None, min_length=1, max_length=youtube.MAX_ADDRESS)

    def image(self) -> bytes:
        """The bytes of the image; raises what `fetch_upload` and `thumbnail` raise."""
        if (self.key is None) == (self.youtube is None):
            raise BadRequest(
                "Send either `key` or `youtube`. /docs lists the fields of this route."
            )
        if self.key is not None:
            return presigned.fetch_upload(self.key, settings().max_upload_size)
        return youtube.thumbnail(str(self.youtube))


INSTEAD = (
    "Do not put an image into JSON: send a form (curl -F file=@image.jpg), or the image itself "
    "with its type."
)

_read = json_body(Elsewhere, instead=INSTEAD)


async def read(request: Request) -> Elsewhere:
    """The body; raises PayloadTooLarge or BadRequest, which say how an image is sent."""
    try:
        return await _read(request)
    except BadRequest as problem:
        detail = f"{problem.detail} JSON may have a `key` or a `youtube` address. {INSTEAD}"
        raise BadRequest(detail, **problem.members) from problem

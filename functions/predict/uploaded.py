"""The JSON body of POST /predict, which names an uploaded image.

A module of its own, imported by the first request with such a body: Pydantic would make each cold
start longer.
"""

from pydantic import BaseModel, ConfigDict, Field

from clickbait.store.presigned import UPLOAD_KEY
from clickbait.web.bodies import json_body


class Uploaded(BaseModel):
    """An uploaded image."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(pattern=f"^{UPLOAD_KEY.pattern}$")


read = json_body(
    Uploaded,
    instead="Do not put an image into JSON: send a form (curl -F file=@image.jpg), or the image "
    "itself with its type.",
)

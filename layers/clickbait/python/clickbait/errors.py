"""Every problem the service can answer with, as one tree; the HTTP status is an attribute, not a
framework.

Problem
├── BadRequest                 422  a field is missing, malformed or out of range
│   ├── EmptyImage             422  zero bytes
│   ├── BrokenImage            422  the bytes end early or do not decode
│   ├── AnimatedImage          422  more than one frame
│   ├── TooManyPixels          422  the header names more pixels than the limit
│   └── UnknownLabel           422  a folder that names none of the two classes
├── PayloadTooLarge            413  more bytes than the limit
├── UnsupportedFormat          415  neither JPEG, PNG nor WebP
├── Unauthorized               401  no token where one is needed
├── Forbidden                  403  a token, and not the right one
├── NotFound                   404  no such route or thing
├── MethodNotAllowed           405
├── Conflict                   409  somebody else was first, or the gate says no
├── InternalError              500  a fault of the service, never of the caller
└── Unavailable                503  nothing to answer with now; comes with Retry-After
    └── InvalidModel           503  a model file that does not keep its metadata's promises
"""

from typing import Any, ClassVar


class Problem(Exception):
    """One way to fail, told so that the caller can act: what is wrong, which limit, what to do
    instead.

    `detail` is a whole sentence. Keyword arguments become extra members of the problem document
    (RFC 9457, section 3.2), such as `limit=` and `value=`.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Problem"
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members

    @classmethod
    def slug(cls) -> str:
        """The last part of the problem's `type`: the class name in kebab case."""
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("-")


class BadRequest(Problem):
    """Raise when a request does not have the parts it needs, or one of them is out of range."""

    status, title = 422, "The request cannot be processed as it is"


class EmptyImage(BadRequest):
    """Raise when an image has no bytes: often a form field without its file."""

    title = "The image is empty"


class BrokenImage(BadRequest):
    """Raise when the bytes begin like an image and then end early or do not decode."""

    title = "The image is damaged"


class AnimatedImage(BadRequest):
    """Raise when a file has more than one frame: which of them is the thumbnail is not ours to
    guess."""

    title = "The image is animated"


class TooManyPixels(BadRequest):
    """Raise when a header announces more pixels than the limit, before any of them is decoded."""

    title = "The image has too many pixels"


class UnknownLabel(BadRequest):
    """Raise when the folder that an image lies in says none of the two labels."""

    title = "The folder is no label"


class PayloadTooLarge(Problem):
    """Raise when a body or a file has more bytes than its limit."""

    status, title = 413, "The payload is too large"


class UnsupportedFormat(Problem):
    """Raise when the content is neither JPEG, PNG nor WebP, whatever its name says."""

    status, title = 415, "The image format is not supported"


class Unauthorized(Problem):
    """Raise when a route needs the admin's token and the request has none."""

    status, title = 401, "A token is needed"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(Problem):
    """Raise when a request has a token, and it is not the admin's."""

    status, title = 403, "The token is not the right one"


class NotFound(Problem):
    """Raise when there is no such route or no such thing."""

    status, title = 404, "Not found"


class MethodNotAllowed(Problem):
    """Raise when the route exists, but not for this method."""

    status, title = 405, "Method not allowed"


class Conflict(Problem):
    """Raise when a request is right by itself and what is there already does not allow it."""

    status, title = 409, "It conflicts with what is there"


class InternalError(Problem):
    """Raise for an unhandled exception; its cause is in the log under the request id."""

    status, title = 500, "The service failed"


class Unavailable(Problem):
    """Raise when the service has nothing to answer with for now."""

    status, title = 503, "The service is not available"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "30"}


class InvalidModel(Unavailable):
    """Raise when a model does not keep what its metadata promises: it must not answer anybody."""

    title = "The model cannot be used"

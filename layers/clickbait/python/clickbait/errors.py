"""Every problem that the service can return, as one tree. Each class has its HTTP status as an
attribute and depends on no HTTP framework.

Problem
├── BadRequest                 422  a field is missing, malformed or out of range
│   ├── EmptyImage             422  zero bytes
│   ├── BrokenImage            422  the bytes end early or cannot be decoded
│   ├── AnimatedImage          422  more than one frame
│   ├── TooManyPixels          422  the header announces more pixels than the limit
│   ├── TooComplex             422  a small file would take long to decode
│   └── UnknownLabel           422  a folder that names neither of the two classes
├── PayloadTooLarge            413  more bytes than the limit
├── UnsupportedFormat          415  not in an accepted format
├── Unauthorized               401  the route needs a token, and the request has none
├── Forbidden                  403  a wrong token, or a key that may not do this
├── NotFound                   404  the route or the named object does not exist
├── MethodNotAllowed           405
├── Conflict                   409  another request was first, or the gate objects
├── TooManyRequests            429  a key has used what it may use today
├── InternalError              500  a fault of the service, never of the caller
├── NotConfigured              501  this process lacks what the route needs, and waiting won't help
├── BadGateway                 502  another service did not send what it should
└── Unavailable                503  the service cannot answer now; sent with Retry-After
    ├── InvalidModel           503  a model that does not match its metadata
    └── Unreadable             503  S3 refuses or does not answer
"""

from typing import Any, ClassVar


class Problem(Exception):
    """Raise when no narrower problem fits.

    `detail` is a whole sentence for the caller: what is wrong, which limit it breaks, what to do
    instead. Keyword arguments become extra members of the problem document (RFC 9457, section 3.2),
    such as `limit=` and `value=`.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Request failed"
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
    """Raise when a request lacks a part that it needs, or a part is malformed or out of range."""

    status, title = 422, "Invalid request"


class EmptyImage(BadRequest):
    """Raise when an image has no bytes. Often a form has the field but not the file."""

    title = "Empty image"


class BrokenImage(BadRequest):
    """Raise when the bytes begin like an image, but end early or cannot be decoded."""

    title = "Damaged image"


class AnimatedImage(BadRequest):
    """Raise when an image has more than one frame, because the service would have to guess which
    one is the thumbnail."""

    title = "Animated image"


class TooManyPixels(BadRequest):
    """Raise when an image's header announces more pixels than the limit. None is decoded."""

    title = "Too many pixels"


class TooComplex(BadRequest):
    """Raise when an image has so many parts, or repeats them so often, that a small file would take
    long to decode, or when it has ended the process that read it. Nothing is decoded."""

    title = "Too complex"


class UnknownLabel(BadRequest):
    """Raise when an image is in a folder that names neither of the two labels."""

    title = "Unknown label"


class PayloadTooLarge(Problem):
    """Raise when a body or a file has more bytes than its limit."""

    status, title = 413, "Payload too large"


class UnsupportedFormat(Problem):
    """Raise when the content is not in an accepted format, whatever its name says."""

    status, title = 415, "Unsupported format"


class Unauthorized(Problem):
    """Raise when a route needs the admin token and the request has no token."""

    status, title = 401, "Token required"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(Problem):
    """Raise when a request has a wrong token, or a key that does not work or may not do this."""

    status, title = 403, "Wrong token"


class NotFound(Problem):
    """Raise when the route or the named object does not exist."""

    status, title = 404, "Not found"


class MethodNotAllowed(Problem):
    """Raise when the route exists but does not accept this method."""

    status, title = 405, "Method not allowed"


class Conflict(Problem):
    """Raise when a request is valid but the present state does not allow it."""

    status, title = 409, "Conflict"


class TooManyRequests(Problem):
    """Raise when a key has used its daily quota. It starts again at midnight UTC."""

    status, title = 429, "Quota used up"


class InternalError(Problem):
    """Raise when the service has a fault of its own. The log has the cause under the request id."""

    status, title = 500, "Internal error"


class NotConfigured(Problem):
    """Raise when a route needs something that this process was started without, such as a bucket.
    Repeating the request does not help."""

    status, title = 501, "Not configured"

    @classmethod
    def without(cls, variable: str, instead: str = "") -> "NotConfigured":
        """The problem of a process in which the environment variable is not set."""
        instead = instead or "`make up` and a deployment have one."
        missing = f"this server has no {STORES[variable]} ({variable})"
        return cls(f"Not configured: {missing}. {instead}", setting=variable)


STORES = {
    "ADMIN_SECRET": "admin token",
    "DATA_BUCKET": "bucket",
    "JOB_DEFINITION": "definition of training jobs",
    "JOB_QUEUE": "queue of training jobs",
    "LEARN_QUEUE": "queue of small updates",
    "MODELS_BUCKET": "bucket of models",
    "TABLE": "table",
}
"""The names of the stores, by their variables, in the words of an error."""


class BadGateway(Problem):
    """Raise when a service of somebody else does not send what it should."""

    status, title = 502, "Bad gateway"


class Unavailable(Problem):
    """Raise when the service cannot answer now, for example because it has no model."""

    status, title = 503, "Service unavailable"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "30"}


class InvalidModel(Unavailable):
    """Raise when a model does not match its metadata and so must not be used."""

    title = "Invalid model"


class Unreadable(Unavailable):
    """Raise when S3 refuses or does not answer, which says nothing about what is stored."""

    title = "Storage unavailable"

"""Who may call what: `Admin` and `Member`, for the signatures of routes.

An admin sends `Authorization: Bearer <token>`; the token is a secret in Secrets Manager. A member
sends a key with the role `member` in the same way. If ACCESS is public, everyone is a member.
Refusing a missing token takes as long as refusing a wrong one.
"""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from clickbait.errors import Forbidden, Problem, Unauthorized, Unavailable
from clickbait.settings import settings
from clickbait.web import callers
from clickbait.web.app import request_id_of

PROTECTED: tuple[type[Problem], ...] = (Unauthorized, Forbidden, Unavailable)
"""The problems that `Admin` and `Member` raise, for a route's `documented(...)`."""

ADMIN_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="AdminToken",
    description="The admin token.",
)
MEMBER_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="MemberToken",
    description="The admin token, or a key with the role `member`, if ACCESS is private (the "
    "default); none if it is public.",
)


def admin(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(ADMIN_BEARER)] = None,
) -> str:
    """The caller's name for records: an admin, and the request.

    Raises Unauthorized without a token, Forbidden with a wrong one or a key, and Unavailable if the
    secret cannot be read.
    """
    offered = given.credentials if given else ""
    if (key := callers.key_of(offered)) is not None:
        raise Forbidden(
            f"The key {key.name!r} has the role {key.role}. This needs the admin token."
        )
    if not callers.token.matches(offered):
        raise _refusal(offered)
    return f"admin, request {request_id_of(request)}"


def member(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(MEMBER_BEARER)] = None,
) -> str:
    """The caller's name for records: "anybody" if ACCESS is public; otherwise a key with the role
    `member`, or as in `admin`."""
    if settings().access == "public":
        return "anybody"
    key = callers.key_of(given.credentials) if given else None
    if key is None:
        return admin(request, given)
    if key.role != "member":
        raise Forbidden(
            f"The key {key.name!r} has the role {key.role}. This needs a key with the role member, "
            "or the admin token."
        )
    return f"key {key.name!r}, request {request_id_of(request)}"


def is_admin(given: HTTPAuthorizationCredentials | None) -> bool:
    """Whether the caller of an open route is the admin. False if the secret cannot be read."""
    try:
        return given is not None and callers.token.matches(given.credentials)
    except Unavailable:
        return False


def _refusal(offered: str) -> Problem:
    # Anybody may read this. An ARN has the number of the account, and a suffix behind the name.
    *arn, name = settings().admin_secret.split(":")
    secret = name[: -len("-Ab12cd")] if arn else name
    hint = (
        f"It is the value of the secret {secret} (aws secretsmanager get-secret-value "
        f"--secret-id {secret}). With `make up` it is in STATE_DIR/admin-token, by default "
        ".local/admin-token."
    )
    kind: type[Problem] = Forbidden if offered else Unauthorized
    finding = "This is not the admin token." if offered else "This needs the admin token."
    return kind(f"{finding} Send the header `Authorization: Bearer TOKEN`. {hint}")


Given = Annotated[HTTPAuthorizationCredentials | None, Depends(MEMBER_BEARER)]
Admin = Annotated[str, Depends(admin)]
Member = Annotated[str, Depends(member)]

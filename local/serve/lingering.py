"""Connections that end with a response end cleanly, although their body is still on its way.

An app may answer before it has read the body: with 404, with a redirect, with 503. If the server
then closed the connection, bytes that still come would reset it, and the client would report that
instead of the response (RFC 9112, section 9.6). On a connection that stays open, uvicorn reads the
rest itself.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clickbait.web.bodies import MAX_DRAINED


class Lingering:
    """ASGI middleware that reads the rest of a body before the server closes the connection.

    The response is sent at once. Of the body, MAX_DRAINED bytes are read and dropped.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _closes(scope):
            await self.app(scope, receive, send)
            return
        whole = held = False

        async def received() -> Message:
            nonlocal whole
            message = await receive()
            whole = not message.get("more_body", False)  # Also if the client has left.
            return message

        async def sent(message: Message) -> None:
            nonlocal held
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            held = last and not whole
            await send({**message, "more_body": True} if held else message)

        await self.app(scope, received, sent)
        if held:
            size = 0
            while not whole and size <= MAX_DRAINED:
                size += len((await received()).get("body", b""))
            await send({"type": "http.response.body"})


def _closes(scope: Scope) -> bool:
    """True if the server closes the connection after the response, and a body may still come."""
    headers = dict(scope["headers"])
    asked = headers.get(b"connection", b"").lower()
    closes = b"close" in asked or (scope["http_version"] == "1.0" and b"keep-alive" not in asked)
    # A client that waits for "100 Continue" sends no body after another answer.
    return closes and b"expect" not in headers

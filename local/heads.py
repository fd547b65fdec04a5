"""Connections whose heads have an end: an application sees a head only when it is complete."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

UNFINISHED_BYTES = 64 * 1024
"""The most bytes of a head that goes on, and of what stands between the bytes of a body or behind
them: sizes of chunks and trailers. The gateway refuses complete heads from half of this on."""


class BoundedHeads(HttpToolsProtocol):
    """A connection that is closed, without a response, if more than UNFINISHED_BYTES arrive that
    neither end a head nor belong to a body. The parser would keep a header or a trailer until it
    ends, and copy it whenever a part of it arrives."""

    _in_head = True
    _unread = 0
    """Bytes that arrived since the head began, or since the last byte of a body."""

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > UNFINISHED_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._in_head, self._unread = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # Trailers are left out, as API Gateway does.
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._unread = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        super().on_message_complete()

"""Connections whose heads have an end: an application sees a head only when it is complete."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

UNFINISHED_BYTES = 64 * 1024
"""The most bytes of a head that goes on. The gateway refuses complete ones from half of this on."""


class BoundedHeads(HttpToolsProtocol):
    """A connection that is closed, without a response, if its head goes on past UNFINISHED_BYTES.
    Each head would else take memory until its client stops."""

    _head: int | None = None
    """Bytes that arrived since the head began; None outside of a head."""

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and self._head > UNFINISHED_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

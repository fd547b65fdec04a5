"""The thumbnail of a YouTube video, from its address. No other host is ever asked.

The host, the path and the port are ours: of an address only the 11 characters of the video's id are
used. Redirects are not followed, and the host's IP address must be a public one.
"""

import re
import socket
import ssl
import time
from contextlib import closing
from functools import cache
from ipaddress import IPv6Address, ip_address
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import parse_qs, urlsplit

from clickbait.errors import BadGateway, BadRequest, NotConfigured, NotFound
from clickbait.settings import settings

if TYPE_CHECKING:  # Few requests need it, and all would wait for its import at a cold start.
    from http.client import HTTPConnection

HOST = "i.ytimg.com"
FILES = ("maxresdefault.jpg", "hqdefault.jpg")
"""The best picture, which old and small videos lack, and one that every video has."""

SECONDS = 5.0
"""For everything: the name, the connection, and both files."""
MAX_BYTES = 2_000_000
MAX_ADDRESS = 500
"""Characters of an address. Usual ones have about 50, and those of shared links up to 300."""

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
PAGES = frozenset(
    {
        "youtube.com",
        "www.youtube.com",
        "m.youtube.com",
        "music.youtube.com",
        "studio.youtube.com",
        "youtube-nocookie.com",
        "www.youtube-nocookie.com",
    }
)
SHORT = frozenset({"youtu.be", "www.youtu.be"})
IMAGES = frozenset({HOST, "img.youtube.com"} | {f"i{n}.ytimg.com" for n in range(1, 10)})
FOLDERS = frozenset({"e", "embed", "live", "shorts", "v", "vi", "vi_webp", "video", "watch"})
"""The first parts of paths whose second part is a video's id."""
NO_IDS = frozenset({"videoseries", "live_stream"})
"""Words of 11 letters in the place of an id: embed/videoseries is a playlist, and
embed/live_stream a channel."""
AROUND = "<>()[]{}\"'.,;:!?"
"""Characters that a sentence or a chat puts before and after an address."""

CHUNK = 64 * 1024

AddressInfo: TypeAlias = tuple[Any, ...]
"""As `socket.getaddrinfo` returns it."""


class Connect(Protocol):
    """Opens a connection to the host of thumbnails that gives up after `seconds`."""

    def __call__(self, seconds: float) -> "HTTPConnection": ...


def video_id(address: str) -> str | None:
    """The id of the video at `address`: an id, or any usual address with or without its scheme.

    Brackets, quotes and full stops around it do not matter. None for any other text.
    """
    address = address.strip().strip(AROUND)
    if len(address) > MAX_ADDRESS or not address.isascii() or not address.isprintable():
        return None
    if VIDEO_ID.fullmatch(address):
        return address
    try:
        has_scheme = "://" in address.partition("?")[0]
        parts = urlsplit(address if has_scheme else f"https://{address.removeprefix('//')}")
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or port is not None:
        return None
    if "@" in parts.netloc or "\\" in address:
        return None
    path = parts.path.strip("/").split("/")
    found = ""
    if host in PAGES | SHORT and path == ["watch"]:
        found = parse_qs(parts.query).get("v", [""])[0]
    elif host in SHORT and len(path) == 1:
        found = path[0]
    elif host in PAGES | IMAGES and len(path) >= 2 and path[0] in FOLDERS:
        found = path[1]
    found = re.split("[&?]", found, maxsplit=1)[0]  # As in youtu.be/ID&t=42, joined by hand.
    return found if VIDEO_ID.fullmatch(found) and found not in NO_IDS else None


def link_in(data: bytes) -> str | None:
    """The id of the video if a file of `data` is no image but one line with a video's address.

    A bare id does not count: any word of 11 letters would be one.
    """
    if len(data) > MAX_ADDRESS or b"/" not in data:
        return None
    try:
        return video_id(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None


def thumbnail(address: str, connect: Connect | None = None) -> bytes:
    """The bytes of a video's thumbnail, at most 2 MB, within about five seconds.

    Raises NotConfigured if FETCH_YOUTUBE is false, BadRequest if `address` is not a video's,
    NotFound if YouTube has no such video, BadGateway if YouTube does not send an image.
    """
    if not settings().fetch_youtube:
        raise NotConfigured(
            "This service fetches nothing (FETCH_YOUTUBE is false). Send the image itself."
        )
    video = video_id(address)
    if video is None:
        raise BadRequest(
            f"{address[:MAX_ADDRESS]!r} is no address of a YouTube video. Send its id of 11 "
            "characters, or an address such as https://www.youtube.com/watch?v=ID."
        )
    deadline = time.monotonic() + SECONDS
    for file in FILES:
        data = _get(f"/vi/{video}/{file}", deadline, connect or _public)
        if data is not None:
            return data
    raise NotFound(f"YouTube has no thumbnail of the video {video}: it may be deleted or private.")


def _get(path: str, deadline: float, connect: Connect) -> bytes | None:
    """The body of `path`; None if it does not exist."""
    from http.client import HTTPException

    try:
        with closing(connect(_left(deadline))) as connection:
            connection.request("GET", path, headers={"user-agent": "clickbait-classifier"})
            raw = connection.sock  # If the host will close it, the response takes it away.
            raw.settimeout(_left(deadline))
            with connection.getresponse() as response:
                if response.status == 404:
                    return None
                if response.status != 200:
                    raise BadGateway(
                        f"YouTube answered {response.status} for {path}. Try again, or send the "
                        "image itself."
                    )
                data = bytearray()
                while part := response.read1(CHUNK):
                    data += part
                    if len(data) > MAX_BYTES:
                        raise BadGateway(
                            f"The file at {path} has more than {MAX_BYTES:,} bytes. Send the image "
                            "itself."
                        )
                    raw.settimeout(_left(deadline))
                return bytes(data)
    except (OSError, HTTPException) as error:
        raise BadGateway(
            f"YouTube could not be reached ({type(error).__name__}). Try again, or send the image "
            "itself."
        ) from error


def _left(deadline: float) -> float:
    """The seconds that are left; raises TimeoutError if none are."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _public(seconds: float) -> "HTTPConnection":
    """A connection to HOST at a public IP address. Its certificate must be HOST's."""
    from http.client import HTTPSConnection

    deadline = time.monotonic() + seconds
    found = _resolve(seconds)
    address = str(min(found, key=lambda one: one[0] != socket.AF_INET)[4][0])
    if not _is_public(address):
        raise BadGateway(
            f"The name {HOST} leads to an address that is not public. Send the image itself."
        )
    connection = HTTPSConnection(HOST, timeout=seconds, context=_context())
    raw = socket.create_connection((address, 443), timeout=_left(deadline))
    try:
        raw.settimeout(_left(deadline))
        connection.sock = _context().wrap_socket(raw, server_hostname=HOST)
    except BaseException:
        raw.close()
        raise
    return connection


def _resolve(seconds: float) -> list[AddressInfo]:
    """The IP addresses of HOST; raises TimeoutError after `seconds`.

    The system has no limit of its own that a caller can set, so a thread asks it.
    """
    answers: SimpleQueue[list[AddressInfo] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(HOST, 443, type=socket.SOCK_STREAM))
        except OSError as error:
            answers.put(error)

    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet and stands for no other one."""
    ip = ip_address(address)
    # NAT64's addresses are reserved ones. They and those of 6to4 have an IPv4 address in them.
    embeds = ip.is_reserved or (isinstance(ip, IPv6Address) and ip.sixtofour is not None)
    return ip.is_global and not ip.is_multicast and not embeds

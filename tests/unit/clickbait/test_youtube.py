"""youtube: addresses of videos, and a fetch that asks one host alone, against a stand-in of it."""

import socket
import threading
from collections.abc import Iterator

import pytest

from clickbait import youtube
from clickbait.errors import BadGateway, BadRequest, NotConfigured, NotFound
from clickbait.settings import Settings
from tests.samples.video_host import BEST, ID, USUAL, StandIn, serving
from tests.waiting import DEADLINE


@pytest.mark.parametrize(
    "address",
    [
        ID,
        f"  {ID}\n",
        f"https://www.youtube.com/watch?v={ID}",
        f"https://www.youtube.com/watch?list=PL1&v={ID}&t=42s#here",
        f"http://youtube.com/watch?v={ID}",
        f"youtube.com/watch?v={ID}",
        f"https://m.youtube.com/watch?v={ID}&feature=share",
        f"https://music.youtube.com/watch?v={ID}",
        f"https://YOUTUBE.com/watch?v={ID}",
        f"https://youtu.be/{ID}?si=abc",
        f"youtu.be/{ID}",
        f"https://www.youtube.com/shorts/{ID}",
        f"https://www.youtube.com/live/{ID}?feature=share",
        f"https://www.youtube.com/embed/{ID}",
        f"https://www.youtube-nocookie.com/embed/{ID}?rel=0",
        f"https://www.youtube.com/v/{ID}",
        f"https://i.ytimg.com/vi/{ID}/hqdefault.jpg",
        f"https://img.youtube.com/vi/{ID}/0.jpg",
        f"https://i9.ytimg.com/vi_webp/{ID}/hq720.webp?sqp=CPT&rs=AOn4",
        f"https://studio.youtube.com/video/{ID}/edit",
        f"https://www.youtube.com/watch/{ID}",
        f"https://www.youtube.com/e/{ID}",
        f"https://youtu.be/watch?v={ID}",
        f"//www.youtube.com/embed/{ID}",
        f"youtube.com/watch?v={ID}&url=https://example.com/",
        f"https://www.youtube.com/watch?v={ID}&embeds_referring_euri=https%3A%2F%2F" + "x" * 200,
        f"https://www.youtube.com/v/{ID}&hl=en",
        f"https://youtu.be/{ID}&t=42",
        f"https://www.youtube.com/watch?v={ID}?si=abc",
        f"https://youtu.be/{ID}.",
        f"<https://youtu.be/{ID}?t=42>,",
        f'("https://www.youtube.com/watch?v={ID}")',
    ],
)
def test_the_usual_addresses_of_a_video_have_its_id(address: str) -> None:
    assert youtube.video_id(address) == ID


@pytest.mark.parametrize(
    "address",
    [
        "",
        "word",
        ID + "x",
        "https://www.youtube.com/",
        "https://www.youtube.com/@channel",
        "https://www.youtube.com/playlist?list=PL0123456789",
        f"https://www.youtube.com/watch?v={ID}x",
        f"https://www.youtube.com/watch?v={ID[:-1]}%2f",
        f"https://example.com/watch?v={ID}",
        f"https://youtube.com.example.com/watch?v={ID}",
        f"https://notyoutube.com/watch?v={ID}",
        f"https://youtube.com@127.0.0.1/watch?v={ID}",
        f"https://user:word@youtube.com/watch?v={ID}",
        f"https://127.0.0.1/vi/{ID}/hqdefault.jpg",
        f"https://youtube.com:8080/watch?v={ID}",
        f"https://youtube.com:port/watch?v={ID}",
        f"https://youtu.be:0/{ID}",
        f"https://youtu.be/{ID}%00",
        f"https://www.youtube%2ecom/watch?v={ID}",
        f"https://\uff59outube.com/watch?v={ID}",
        f"https://youtube.com\\@127.0.0.1/watch?v={ID}",
        f"file://youtube.com/watch?v={ID}",
        f"ftp://youtube.com/watch?v={ID}",
        f"gopher://youtu.be/{ID}",
        f"javascript:youtu.be/{ID}",
        f"//[::1]/vi/{ID}",
        f"https://[/watch?v={ID}",
        f"https://youtu.be/{ID}/../../x",
        f"https://youtu.be/{ID}\r\nhost: evil",
        f"https://youtu.be/{ID}?" + "x" * 500,
        ID[:-1],
        f"https://youtu.be/{ID[:-1]}",
        "https://www.youtube.com/embed/videoseries?list=PL0123456789",
        "https://www.youtube.com/embed/live_stream?channel=UC0123456789",
        f"https://youtu.be@127.0.0.1/{ID}",
        f"https://youtu.be%40127.0.0.1/{ID}",
        f"https://youtu\u3002be/{ID}",
        f"https://youtu.be/{ID}\u200b",
        f"https://y\u043eutube.com/watch?v={ID}",
        f"https://xn--yutube-wqf.com/watch?v={ID}",
        f"https://i10.ytimg.com/vi/{ID}/0.jpg",
        f"https://0x7f000001/vi/{ID}",
        f"https://2130706433/vi/{ID}",
        f"https://[::ffff:127.0.0.1]/vi/{ID}",
        f"https:/youtu.be/{ID}",
        f"https:youtu.be/{ID}",
        f"https://youtu.be/%2e%2e/{ID}",
        f"https://www.youtube.com/redirect?q=https://example.com/{ID}",
        f"data:image/jpeg;base64,{ID}",
    ],
)
def test_anything_else_is_no_video(address: str) -> None:
    assert youtube.video_id(address) is None


def test_a_file_is_a_link_only_if_it_is_one_address() -> None:
    assert youtube.link_in(f"https://youtu.be/{ID}\n".encode()) == ID
    assert youtube.link_in(f"\ufeffhttps://youtu.be/{ID}\r\n".encode()) == ID
    for data in (b"", ID.encode(), b"\xff\xd8\xff", f"see https://youtu.be/{ID}".encode()):
        assert youtube.link_in(data) is None


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """It shares a busy machine with the test, so it may take as long as a test waits."""
    monkeypatch.setattr(youtube, "SECONDS", DEADLINE)
    with serving() as server:
        yield server


def test_the_best_picture_is_fetched(host: StandIn) -> None:
    host.answers = {BEST: (200, b"best"), USUAL: (200, b"usual")}
    assert youtube.thumbnail(f"https://youtu.be/{ID}", host.connect) == b"best"
    assert host.asked == [BEST]


def test_a_video_without_the_best_picture_has_the_usual_one(host: StandIn) -> None:
    host.answers = {USUAL: (200, b"usual")}
    assert youtube.thumbnail(ID, host.connect) == b"usual"


def test_a_video_that_does_not_exist_is_not_found(host: StandIn) -> None:
    with pytest.raises(NotFound, match=f"no thumbnail of the video {ID}"):
        youtube.thumbnail(ID, host.connect)


@pytest.mark.parametrize(("status", "body"), [(302, b""), (500, b""), (206, b"part"), (429, b"")])
def test_no_other_answer_is_used_and_no_redirect_followed(
    host: StandIn, status: int, body: bytes
) -> None:
    host.answers = {BEST: (status, body), "/other": (200, b"secret")}
    with pytest.raises(BadGateway, match=f"answered {status}"):
        youtube.thumbnail(ID, host.connect)
    assert host.asked == [BEST]


def test_a_large_file_is_given_up_at_two_megabytes(host: StandIn) -> None:
    host.answers = {BEST: (200, bytes(youtube.MAX_BYTES))}
    assert len(youtube.thumbnail(ID, host.connect)) == youtube.MAX_BYTES
    host.answers = {BEST: (200, bytes(youtube.MAX_BYTES + 1))}
    with pytest.raises(BadGateway, match="more than 2,000,000 bytes"):
        youtube.thumbnail(ID, host.connect)


def test_a_host_that_drips_is_given_up(host: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(youtube, "SECONDS", 0.5)
    host.answers, host.drip = {BEST: (200, b"")}, True
    # It would drip for ever.
    with pytest.raises(BadGateway, match=r"could not be reached \(TimeoutError\)"):
        youtube.thumbnail(ID, host.connect)


def test_a_host_that_is_away_is_a_bad_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    with pytest.raises(BadGateway, match=r"could not be reached \(gaierror\)"):
        youtube.thumbnail(ID)


def test_public_addresses_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def connect(address: tuple[str, int], **_: object) -> None:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    for family, ip in ((socket.AF_INET, "142.250.1.119"), (socket.AF_INET6, "2607:f8b0::1")):
        found = [(family, socket.SOCK_STREAM, 6, "", (ip, 443))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, _found=found, **__: _found)
        with pytest.raises(BadGateway, match="could not be reached"):
            youtube.thumbnail(ID)
    assert asked == [("142.250.1.119", 443), ("2607:f8b0::1", 443)]


def test_a_name_that_no_resolver_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(youtube, "SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(60))
    with pytest.raises(BadGateway, match=r"could not be reached \(TimeoutError\)"):
        youtube.thumbnail(ID)
    assert not answered.is_set()
    answered.set()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254"),
        *("0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255"),
    ],
)
def test_a_name_that_leads_to_a_private_address_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    def resolve(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]

    def connect(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(BadGateway, match="not public"):
        youtube.thumbnail(ID)


def test_private_addresses_of_ipv6_are_not_asked_either(monkeypatch: pytest.MonkeyPatch) -> None:
    translated = ("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "::7f00:1")
    for address in ("::1", "fd00::1", "fe80::1", "::ffff:127.0.0.1", "ff02::1", *translated):
        found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 443, 0, 0))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, _found=found, **__: _found)
        with pytest.raises(BadGateway, match="not public"):
            youtube.thumbnail(ID)


def test_a_wrong_address_is_named(host: StandIn) -> None:
    with pytest.raises(BadRequest, match=r"'https://example.com/x' is no address of a YouTube vid"):
        youtube.thumbnail("https://example.com/x", host.connect)
    assert not host.asked


def test_nothing_is_fetched_if_that_is_switched_off(
    host: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(youtube, "settings", lambda: Settings(fetch_youtube=False))
    with pytest.raises(NotConfigured, match="FETCH_YOUTUBE is false"):
        youtube.thumbnail(ID, host.connect)
    assert not host.asked


def test_fetching_is_on_by_default() -> None:
    assert Settings().fetch_youtube

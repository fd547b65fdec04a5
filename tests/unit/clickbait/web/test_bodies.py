"""Forms and bodies as different clients send them, in exact bytes."""

import base64
import gzip
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from clickbait.errors import Problem
from clickbait.inference.images import format_of
from clickbait.web.bodies import image_body, images_form
from tests.samples.drawn import encoded, picture

JPEG = encoded(picture())
LONG = JPEG + bytes(1_300_000)
BOUNDARY = b"----Boundary7MA4YWxkTrZu0gW"
FORM = "multipart/form-data; boundary=----Boundary7MA4YWxkTrZu0gW"
END = b"--" + BOUNDARY + b"--\r\n"

app = FastAPI()


@app.post("/one")
async def one(request: Request) -> dict[str, Any]:
    try:
        file = await image_body(request)
        format_of(file.data)
    except Problem as problem:
        return {"detail": problem.detail, "status": problem.status}
    return {"name": file.name, "bytes": len(file.data)}


@app.post("/several")
async def several(request: Request) -> dict[str, Any]:
    try:
        return {"names": [file.name for file in await images_form(request)]}
    except Problem as problem:
        return {"detail": problem.detail, "status": problem.status}


client = TestClient(app)


def part(disposition: str, body: bytes = JPEG, more: bytes = b"") -> bytes:
    head = b"Content-Disposition: " + disposition.encode() + b"\r\nContent-Type: image/jpeg\r\n"
    return b"--" + BOUNDARY + b"\r\n" + head + more + b"\r\n" + body + b"\r\n"


def post(path: str, body: bytes, kind: str = FORM, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, content=body, headers={"content-type": kind, **named}).json()


def names(*files: str) -> Any:
    body = b"".join(part(f"form-data; name=files; {file}") for file in files) + END
    return post("/several", body).get("names")


@pytest.mark.parametrize("image", [JPEG, LONG])
def test_a_file_named_by_filename_star_alone_is_a_file(image: bytes) -> None:
    disposition = "form-data; name=\"file\"; filename*=utf-8''%D0%B0.jpg"
    assert post("/one", part(disposition, image) + END) == {
        "name": "\u0430.jpg",
        "bytes": len(image),
    }


@pytest.mark.parametrize("image", [JPEG, LONG])
@pytest.mark.parametrize(("path", "field"), [("/one", "file"), ("/several", "files")])
def test_a_part_without_a_file_name_is_refused_in_words(
    path: str, field: str, image: bytes
) -> None:
    problem = post(path, part(f'form-data; name="{field}"', image) + END)
    assert problem["status"] == 422
    assert "file name" in problem["detail"]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("path", "field"), [("/one", "file"), ("/several", "files")])
def test_file_inputs_in_which_nothing_was_chosen_are_left_out(
    path: str, field: str, first: bool
) -> None:
    image = part(f'form-data; name="{field}"; filename="a.jpg"')
    empty = part('form-data; name="extra"; filename=""', b"") * 2
    answer = post(path, (empty + image if first else image + empty) + END)
    assert answer == (
        {"name": "a.jpg", "bytes": len(JPEG)} if path == "/one" else {"names": ["a.jpg"]}
    )


def test_a_form_in_which_nothing_was_chosen_has_no_files() -> None:
    empty = part('form-data; name="files"; filename=""', b"") + END
    assert "The form has 0 files" in post("/several", empty)["detail"]


@pytest.mark.parametrize("kind", ["application/octet-stream", "binary/octet-stream", "IMAGE/JPG"])
def test_a_body_of_any_bytes_is_read_as_an_image(kind: str) -> None:
    assert post("/one", LONG, kind)["bytes"] == len(LONG)


def test_an_empty_file_or_a_second_one_is_still_refused() -> None:
    empty = part('form-data; name="file"; filename=""', b"") + END
    assert "zero bytes" in post("/one", empty)["detail"]
    two = part('form-data; name="file"; filename="a"') + part('form-data; name="x"; filename="b"')
    assert "Too many files: the form has 2" in post("/one", two + END)["detail"]


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ('filename="File with %22quotes%22.jpg"', 'File with "quotes".jpg'),
        ('filename="a%0Ab%0dc.jpg"', "a\nb\rc.jpg"),
        ('filename="a\\"b.jpg"', 'a"b.jpg'),
        ('filename="100%25.jpg"', "100%25.jpg"),
        ('filename="50% off.jpg"', "50% off.jpg"),
        ('filename="=?utf-8?B?w6l0w6kuanBn?="', "été.jpg"),
        ('filename="=?iso-8859-1?Q?=E9t=E9.jpg?="', "été.jpg"),
        ("filename=\"x\"; filename*=utf-8''%C3%A9t%C3%A9.jpg", "été.jpg"),
        ("filename*=UTF-8'fr'%C3%A9.jpg; filename=x", "é.jpg"),
        ("filename*=iso-8859-1''%e9.jpg", "é.jpg"),
        # What cannot be decoded stays as it was sent.
        ("filename=\"x.jpg\"; filename*=bogus''%e9.jpg", "x.jpg"),
        ("filename=\"x.jpg\"; filename*=utf-8''%e9.jpg", "x.jpg"),
        ("filename=\"x.jpg\"; filename*=base64''YQ==", "x.jpg"),
        ("filename=\"x.jpg\"; filename*=raw_unicode_escape''%5Cud800", "x.jpg"),
        ('filename="=?bogus?B?w6l0?="', "=?bogus?B?w6l0?="),
        ('filename="=?raw_unicode_escape?Q?=5Cud800?="', "=?raw_unicode_escape?Q?=5Cud800?="),
        ("filename=\"a; filename*=utf-8''b.jpg\"", "a; filename*=utf-8''b.jpg"),
    ],
)
def test_a_name_comes_back_as_the_person_knows_it(sent: str, name: str) -> None:
    assert names(sent) == [name]


@pytest.mark.parametrize("header", [b"Content-Transfer-Encoding", b"content-encoding"])
@pytest.mark.parametrize("encoding", [b"base64", b"GZIP", b"quoted-printable"])
def test_an_encoded_part_is_refused_with_its_encoding(header: bytes, encoding: bytes) -> None:
    image = base64.b64encode(LONG)
    disposition = 'form-data; name="file"; filename="a.jpg"'
    more = header + b": " + encoding + b"\r\n"
    problem = post("/one", part(disposition, image, more) + END)
    assert problem["status"] == 422
    assert encoding.decode() in problem["detail"]
    assert "Send the bytes as they are" in problem["detail"]
    for plain in (b"binary", b"8bit"):
        plainly = part(disposition, JPEG, header + b": " + plain + b"\r\n")
        assert post("/one", plainly + END)["bytes"] == len(JPEG)


@pytest.mark.parametrize("image", [JPEG, LONG])
@pytest.mark.parametrize("kind", [FORM, "image/jpeg"])
def test_an_encoded_body_is_refused_with_its_encoding(kind: str, image: bytes) -> None:
    form = part('form-data; name="file"; filename="a.jpg"', image) + END
    body = gzip.compress(form if kind == FORM else image)
    problem = post("/one", body, kind, content_encoding="gzip")
    assert problem["status"] == 422
    assert "encoded with gzip" in problem["detail"]
    assert post("/one", image, "image/jpeg", content_encoding="identity")["bytes"] == len(image)


@pytest.mark.parametrize("image", [JPEG, LONG])
def test_text_in_place_of_an_image_is_named(image: bytes) -> None:
    text = base64.b64encode(image)
    for body, kind in (
        (text, "base64 text of a JPEG"),
        (base64.b64encode(encoded(picture(), "PNG")), "base64 text of a PNG"),
        (base64.b64encode(encoded(picture(), "WEBP")), "base64 text of a WebP"),
        (b"data:image/jpeg;base64," + text, "data URL"),
        (b'{"image": "' + text + b'"}', "JSON"),
        (gzip.compress(image), "gzip"),
    ):
        assert kind in post("/one", body, "image/jpeg")["detail"]


@pytest.mark.parametrize(
    ("charset", "name"),
    [("unicode_escape", rb"\ud800"), ("raw_unicode_escape", rb"\ud800"), ("utf-7", b"+2AA-")],
)
@pytest.mark.parametrize("path", ["/one", "/several"])
@pytest.mark.parametrize("where", ["a file's name", "a field's name", "a field's text"])
def test_a_charset_that_gives_half_a_character_is_refused(
    charset: str, name: bytes, path: str, where: str
) -> None:
    """No response can have it: telling the name of such a file would fail."""
    field = b"files" if path == "/several" else b"file"
    form = {
        "a file's name": part('form-data; name="FIELD"; filename="NAME.jpg"'),
        "a field's name": part('form-data; name="NAME"; filename="a.jpg"'),
        "a field's text": part('form-data; name="FIELD"; filename="a.jpg"')
        + part('form-data; name="note"', b"NAME"),
    }[where]
    if (path, where) == ("/several", "a field's text"):
        form = form.replace(b'"note"', b'"files"')
    body = form.replace(b"FIELD", field).replace(b"NAME", name) + END
    problem = post(path, body, f"{FORM}; charset={charset}")
    assert problem["status"] == 422
    assert "no Unicode" in problem["detail"]
    problem["detail"].encode()

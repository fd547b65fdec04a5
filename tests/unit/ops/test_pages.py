"""Each file of the page goes out as what it is, and is kept no longer than it holds."""

import json
from pathlib import Path

import pytest

from ops import StackError, pages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "index.html": "<!doctype html>",
        "favicon.svg": "<svg/>",
        "robots.txt": "User-agent: *",
        "assets/index-C7U3k_kQ.js": "run()",
        "assets/index-M7HXuwUp.css": "p {}",
        ".done": "",
        ".vite/manifest.json": "{}",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_the_page_is_what_was_built_without_the_builds_own_files(folder):
    assert {name: file.content for name, file in pages.read(folder).items()} == {
        "index.html": b"<!doctype html>",
        "favicon.svg": b"<svg/>",
        "robots.txt": b"User-agent: *",
        "assets/index-C7U3k_kQ.js": b"run()",
        "assets/index-M7HXuwUp.css": b"p {}",
    }


def test_only_what_has_its_contents_digest_in_its_name_is_kept_for_ever(folder):
    kept = {name: file.cache for name, file in pages.read(folder).items()}
    for name, cache in kept.items():
        if name.startswith("assets/"):
            assert cache == "public, max-age=31536000, immutable", name
        else:
            assert cache == "no-cache", name
    assert pages.config("https://api", "private", "mine").cache == "no-cache"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("favicon.svg", "image/svg+xml"),
        ("robots.txt", "text/plain; charset=utf-8"),
        ("assets/index-C7U3k_kQ.js", "text/javascript; charset=utf-8"),
        ("assets/index-M7HXuwUp.css", "text/css; charset=utf-8"),
    ],
)
def test_a_file_has_the_type_of_its_ending_whatever_the_machine_thinks(folder, name, kind):
    assert pages.read(folder)[name].type == kind


def test_a_file_of_an_unknown_type_is_refused_by_its_name(folder):
    (folder / "assets" / "model.onnx").write_bytes(b"")
    with pytest.raises(StackError, match=r"assets/model\.onnx.*TYPES in ops/pages\.py"):
        pages.read(folder)


def test_a_page_that_is_not_built_is_one_line_that_names_the_command(tmp_path):
    with pytest.raises(StackError, match=r"index\.html is missing.*`make up`") as failure:
        pages.read(tmp_path / "dist")
    assert "\n" not in str(failure.value)


def test_the_page_is_told_where_its_api_is_and_who_may_read():
    file = pages.config("http://127.0.0.1:8000", "private", "mine")
    assert json.loads(file.content) == {
        "api": "http://127.0.0.1:8000",
        "access": "private",
        "stack": "mine",
        "predictions": "open",
    }
    assert file.type == "application/json"

"""keys: ids in addresses, and names of files in keys."""

from pathlib import Path

import pytest

from clickbait.keys import (
    LITTER,
    MAX_FILE_NAME,
    id_of,
    is_decided,
    is_litter,
    key_of_id,
    plain_name,
    why_no_batch,
)

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "key", ["a/.DS_Store", "._a.jpg", "THUMBS.DB", "a/Desktop.ini", "__MACOSX/a.jpg", "Icon\r"]
)
def test_what_systems_put_beside_images_is_litter(key: str) -> None:
    assert is_litter(key)


@pytest.mark.parametrize(
    "key", ["...a.jpg", ".5.jpg", ".hidden", "a/.b/c.jpg", "_a", "Thumbs.db.jpg", "Icon", "a._b"]
)
def test_any_other_name_may_be_an_image(key: str) -> None:
    assert not is_litter(key)


def test_the_page_and_the_service_call_the_same_names_litter() -> None:
    page = (ROOT / "frontend/src/upload/names.ts").read_text(encoding="utf-8")
    assert f"/^({LITTER.pattern})$/is;" in page


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("..", "'..'"),
        ("a\nb", "line break"),
        ("é" * 451, "902 bytes; the limit is 900"),
        (".git", "a system uses"),
        ("é" * 450, None),
        ("Photos (2)", None),
    ],
)
def test_a_folder_that_is_no_batch_has_a_reason(name: str, reason: str | None) -> None:
    reason_found = why_no_batch(name)
    assert reason_found is None if reason is None else reason in str(reason_found)


@pytest.mark.parametrize(
    "key", ["train/clickbait/a.jpg", "é/ ?#%.jpg", "a", "ab", "abc", "a" * 1024]
)
def test_an_id_stands_for_one_key_and_needs_no_escaping(key: str) -> None:
    assert key_of_id(id_of(key)) == key
    assert id_of(key).replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "text", ["!", "a", "YQ==", "YR", " YQ", "YQ ", "Y Q", "é", "_w", "YW\n", "\x00", "YQ/.."]
)
def test_what_is_not_exactly_the_id_of_a_key_is_none(text: str) -> None:
    assert key_of_id(text) is None


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("beach.jpg", "beach.jpg"),
        ("Ünï cödé (1).PNG", "Ünï cödé (1).PNG"),
        ("holiday/deep/a.webp", "a.webp"),
        ("C:\\pictures\\a.jpg", "a.jpg"),
        ("../../train/x/.hidden.jpg", "hidden.jpg"),
        ("..", "image.jpg"),
        ("", "image.jpg"),
        ("/", "image.jpg"),
        (".jpg", "image.jpg"),
        ("a", "a.jpg"),
        ("v1.2 final cut", "v1.2 final cut.jpg"),
        ("a\x00b\nc*?<>|:\"'`$.jpg", "a_b_c_.jpg"),
        ("\ud800.jpg", "_.jpg"),
        ("a .jpg", "a.jpg"),
    ],
)
def test_a_name_in_a_key_is_as_near_as_is_safe(name: str, plain: str) -> None:
    assert plain_name(name, "jpg") == plain


def test_a_mark_comes_before_the_extension() -> None:
    assert plain_name("a.b.png", "jpg", "0f") == "a.b-0f.png"
    assert plain_name("", "jpg", "0f") == "image-0f.jpg"


def test_a_long_name_is_cut_between_characters() -> None:
    name = plain_name("é" * 500 + ".png", "jpg", "0f")
    assert name.endswith("é-0f.png")
    assert MAX_FILE_NAME - 2 <= len(name.encode()) <= MAX_FILE_NAME


@pytest.mark.parametrize(
    ("key", "mark", "decided"),
    [
        ("train/clickbait/a.jpg", None, False),
        ("train/clickbait/a.jpg", "admin", True),
        ("train/clickbait/a.jpg", "anybody", False),
        ("train/clickbait_fake/feedback-20261120-101010-0123456789ab.jpg", None, True),
        ("train/clickbait_fake/feedback-of-mine.jpg", None, False),
        ("train/feedback-20261120-101010-0123456789ab.jpg/a.jpg", None, False),
    ],
)
def test_a_label_is_decided_if_an_admin_gave_it_or_accepted_it(
    key: str, mark: str | None, decided: bool
) -> None:
    assert is_decided(key, mark) is decided

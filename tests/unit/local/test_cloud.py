"""Objects that no saved state owns do not stop a start, and a user's objects are kept."""

from local.cloud import _set_aside
from local.template import ARTEFACTS_BUCKET

ACCOUNT = "000000000000"


def test_the_artefacts_of_a_first_start_that_was_killed_are_deleted(tmp_path):
    objects = tmp_path / "s3"
    _set_aside(objects)  # There are none yet.
    artefacts = objects / ACCOUNT / ARTEFACTS_BUCKET
    artefacts.mkdir(parents=True)
    (artefacts / "function.zip").touch()
    (objects / ACCOUNT / "clickbait-data").mkdir()
    _set_aside(objects)
    assert list(tmp_path.iterdir()) == []


def test_images_of_a_state_that_was_never_saved_are_moved_aside_and_kept(tmp_path, capsys):
    image = tmp_path / "s3" / ACCOUNT / "clickbait-data" / "train" / "a.jpg"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"an image")
    _set_aside(tmp_path / "s3")
    (kept,) = tmp_path.iterdir()
    assert (kept / image.relative_to(tmp_path / "s3")).read_bytes() == b"an image"
    assert str(kept) in capsys.readouterr().out

"""A snapshot of the emulator's state is whole or absent, and a failure keeps the former one."""

import errno
import os
from pathlib import Path

import pytest

from local import emulator

STATE = {"sqs.json": b"one message", "dynamodb.json": b"one row"}


def content(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in emulator.newest(folder).iterdir()}


def test_without_a_snapshot_there_is_no_newest(tmp_path):
    assert emulator.newest(tmp_path / "missing") is None
    (tmp_path / "draft").mkdir()
    assert emulator.newest(tmp_path) is None


def test_the_newest_snapshot_replaces_the_others_and_keeps_services_that_were_not_used(tmp_path):
    emulator.write(tmp_path, STATE)
    for count in range(11):  # "10" comes after "9".
        emulator.write(tmp_path, {"sqs.json": b"%d messages" % count})
    assert content(tmp_path) == {"sqs.json": b"10 messages", "dynamodb.json": b"one row"}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_state_that_has_not_changed_is_not_written(tmp_path):
    emulator.write(tmp_path, STATE)
    before = emulator.newest(tmp_path)
    emulator.write(tmp_path, dict(STATE))
    assert emulator.newest(tmp_path) == before


@pytest.mark.parametrize("step", ["fsync", "link", "rename"])
def test_a_full_disk_keeps_the_former_snapshot(tmp_path, monkeypatch, step):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    emulator.write(tmp_path, STATE)
    with monkeypatch.context() as patched:
        patched.setattr(*((Path, step) if step == "rename" else (os, step)), full)
        with pytest.raises(OSError, match="No space left"):
            emulator.write(tmp_path, {"sqs.json": b"two messages"})
    assert content(tmp_path) == STATE
    emulator.write(tmp_path, {"sqs.json": b"two messages"})
    assert content(tmp_path)["sqs.json"] == b"two messages"

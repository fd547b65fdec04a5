"""Figures of the process: read where the kernel has them, and never the cause of an error."""

from pathlib import Path

import pytest

from clickbait import observability


def test_the_peak_memory_is_that_of_this_process() -> None:
    peak = observability.peak_memory_mb()
    assert peak is not None and 10 < peak < 100_000


@pytest.mark.parametrize("content", [None, b"", b"Name:\tpython\n"])
def test_a_kernel_that_does_not_say_it_fails_no_request(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "status"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(observability, "PROCESS", file)
    monkeypatch.setattr(observability, "IN_LAMBDA", True)
    counted: list[str] = []
    monkeypatch.setattr(observability, "count", lambda name, *_: counted.append(name))
    observability.count_invocation(0.1)
    assert counted == ["Latency"]

"""Small files that are there whole or not at all."""

import os
import stat
import threading
from pathlib import Path

import pytest

from pipeline.views.whole import write_whole


def test_a_reader_never_sees_half_a_file_when_it_is_written_again_and_again(tmp_path: Path) -> None:
    """Whoever opens it finds one writing or another, whole."""
    file = tmp_path / "m.prom"
    write_whole(file, b"0" * 300_000, mode=0o644)
    seen: set[tuple[int, int]] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            content = file.read_bytes()
            seen.add((len(content), len(set(content))))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        write_whole(file, str(number % 10).encode() * 300_000, mode=0o644)
    over.set()
    reader.join()
    assert seen == {(300_000, 1)}


def test_the_old_file_stays_when_the_new_one_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the old file, and nothing beside it."""
    file = tmp_path / "m.prom"
    write_whole(file, b"old", mode=0o644)
    monkeypatch.setattr(os, "write", _full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, b"new", mode=0o644)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def _full(_descriptor: int, _content: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_link_is_not_written_through_when_it_has_a_name_of_ours(tmp_path: Path) -> None:
    """What lies under the name of the unfinished file, or the file, is replaced and not followed."""
    (tmp_path / "other").write_text("precious")
    file = tmp_path / "f.json"
    file.symlink_to("other")
    file.with_name(f".f.json.{os.getpid()}.tmp").symlink_to("other")
    write_whole(file, b"new", mode=0o600, durable=True)
    assert (tmp_path / "other").read_text() == "precious"
    assert (file.read_bytes(), file.is_symlink()) == (b"new", False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

"""Opening regular files alone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.files import open_regular


def test_a_file_is_opened_also_through_a_link(tmp_path: Path) -> None:
    """A link to a file is as good as the file."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open(tmp_path / name, "rb", opener=open_regular) as opened:
            assert opened.read() == b"abc"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
        (lambda path: path.mkdir(), "a directory"),
        (lambda path: path.symlink_to(path), "symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
    ],
    ids=["pipe", "device", "directory", "loop", "nowhere"],
)
def test_whatever_else_it_is_ends_in_an_error_at_once(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    """Nobody waits for a pipe without a writer, and no descriptor is left open."""
    make(tmp_path / "it")
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(OSError, match=words):
        open(tmp_path / "it", "rb", opener=open_regular).close()
    assert len(list(Path("/dev/fd").iterdir())) == before

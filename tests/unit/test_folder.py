"""The names of output folders: a rehearsal is never mistaken for a paid batch."""

import os
from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.folder import hold, holder, is_rehearsal, paid_folder, rehearsal_folder


@pytest.mark.parametrize(
    ("folder", "rehearsal"),
    [("outputs/shots", "outputs/shots-rehearsal"), ("outputs/shots-rehearsal", "outputs/shots-rehearsal")],
)
def test_a_rehearsal_has_a_folder_of_its_own(folder: str, rehearsal: str) -> None:
    """Beside the paid one, and told by its name."""
    assert rehearsal_folder(Path(folder)) == Path(rehearsal)


def test_a_folder_has_a_name_also_when_it_is_told_by_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory and its parent are known by what they are called."""
    inner = tmp_path / "night-rehearsal" / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert rehearsal_folder(Path()) == inner.with_name("inner-rehearsal")
    assert is_rehearsal(Path(".."))
    assert rehearsal_folder(Path("..")) == Path("..")
    with pytest.raises(UsageError, match="is the folder of a rehearsal"):
        paid_folder(Path(".."))
    assert paid_folder(Path()) == Path()


def test_a_folder_without_a_name_is_refused() -> None:
    """The root of a file system has no place beside it."""
    with pytest.raises(UsageError, match="/ has no name"):
        rehearsal_folder(Path("/"))


# -- who holds it


def test_a_folder_tells_who_holds_it(tmp_path: Path) -> None:
    """By the kernel's table of locks, so that looking takes nothing from anybody."""
    folder = tmp_path / "batch"
    assert holder(folder) == 0
    with hold(folder):
        assert holder(folder) == os.getpid()
    assert holder(folder) == 0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1: FLOCK  ADVISORY  WRITE 4711 {device}:{inode} 0 EOF", 4711),
        ("1: -> FLOCK  ADVISORY  WRITE 4711 {device}:{inode} 0 EOF", 0),
        ("1: FLOCK  ADVISORY  READ 4711 {device}:{inode} 0 EOF", 0),
        ("1: POSIX  ADVISORY  WRITE 4711 {device}:{inode} 0 EOF", 0),
        ("1: FLOCK  ADVISORY  WRITE 4711 {device}:1{inode} 0 EOF", 0),
        ("1: FLOCK  ADVISORY  WRITE 4711 ff:ff:{inode} 0 EOF", None),
        ("", 0),
    ],
)
def test_a_line_of_the_table_of_locks_tells_of_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, told: int | None
) -> None:
    """A lock that waits, is shared, or is another file's holds nothing; a strange device is a doubt."""
    (tmp_path / ".lock").touch()
    found = (tmp_path / ".lock").stat()
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    table = tmp_path / "locks"
    table.write_text(line.format(device=device, inode=found.st_ino) + "\n", encoding="ascii")
    monkeypatch.setattr("pipeline.folder._LOCKS", table)
    assert holder(tmp_path) == told


def test_nobody_can_tell_who_holds_a_folder_when_there_is_no_table_of_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On other systems than Linux."""
    (tmp_path / ".lock").touch()
    monkeypatch.setattr("pipeline.folder._LOCKS", tmp_path / "missing")
    assert holder(tmp_path) is None

"""The names of output folders: a rehearsal is never mistaken for a paid batch."""

from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.folder import is_rehearsal, paid_folder, rehearsal_folder


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

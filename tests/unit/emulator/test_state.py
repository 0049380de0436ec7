"""What an emulator keeps over its end."""

import pytest

from pipeline.core.errors import FolderError, UsageError
from pipeline.emulator.bodies import Submission
from pipeline.emulator.links import Links
from pipeline.emulator.scenario import Scenario, Trouble
from pipeline.emulator.service import Intake, RemoteTask, Service
from pipeline.emulator.state import Identity, Keep


def some_tasks(count: int) -> list[RemoteTask]:
    service = Service(Scenario(trouble=(Trouble(at="task", do="stick", nth=(2,)),)), links=Links(b"s"))
    submission = Submission("Wan-AI/Wan2.2-I2V", prompt="\u2028 emoji 🎬")
    made = [service.submit(1.5, "key", submission, Intake("http://x"))[1] for _ in range(count)]
    return [task for task in made if task]


def test_tasks_are_known_when_the_folder_is_opened_again(tmp_path):
    """A recorded task is read back as the same value, endless ones included."""
    tasks = some_tasks(3)
    first = Keep(tmp_path / "deep" / "folder")
    for task in tasks:
        first.record(task)
    first.close()
    again = Keep(tmp_path / "deep" / "folder")
    assert again.tasks == tasks
    again.close()


@pytest.mark.parametrize("lost", [1, 40])
def test_torn_line_is_ignored_when_a_kill_left_one(tmp_path, lost):
    """Half a line was never answered: it is cut off, and the next task stands whole behind the others."""
    tasks = some_tasks(3)
    keep = Keep(tmp_path)
    for task in tasks[:2]:
        keep.record(task)
    keep.close()
    journal = tmp_path / "tasks.jsonl"
    journal.write_bytes(journal.read_bytes()[:-lost])
    again = Keep(tmp_path)
    assert again.tasks == tasks[:1]
    again.record(tasks[2])
    again.close()
    last = Keep(tmp_path)
    assert last.tasks == [tasks[0], tasks[2]]
    last.close()


def test_folder_is_refused_when_it_holds_something_else(tmp_path):
    """A damaged journal, a damaged record and a file in the folder's place are each a sentence."""
    (tmp_path / "tasks.jsonl").write_text("hello\n")
    with pytest.raises(UsageError, match="is not an emulator's record"):
        Keep(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="cannot hold an emulator"):
        Keep(tmp_path / "file")
    (tmp_path / "tasks.jsonl").unlink()
    (tmp_path / "emulator.json").write_text("{")
    keep = Keep(tmp_path)
    with pytest.raises(UsageError, match="is not an emulator's record"):
        keep.identity()
    keep.close()


def test_identity_stays_when_it_was_settled(tmp_path):
    """Ports and secret are the same after a restart."""
    keep = Keep(tmp_path)
    identity = Identity(keep.identity().secret, 81, 82)
    keep.settle(identity)
    assert keep.identity() == identity
    keep.close()


def test_nothing_is_left_when_there_is_no_folder():
    """A temporary folder goes with the emulator."""
    keep = Keep(None)
    assert keep.clips.is_dir()
    keep.close()
    assert not keep.folder.exists()

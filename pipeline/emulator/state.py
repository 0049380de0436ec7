"""What an emulator keeps: its tasks, its ports, the pictures that it was sent, the clips that it made."""

import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from pipeline.core.errors import FolderError, UsageError
from pipeline.emulator.service import RemoteTask


@dataclass(frozen=True, slots=True)
class Identity:
    """What must be the same after a restart, so that the links and base URLs given out stay right."""

    secret: str
    """Hex; signs the links."""
    port: int = 0
    results_port: int = 0


class Keep:
    """A folder with `emulator.json`, `tasks.jsonl`, `pictures/` and `clips/`; a temporary one unless one is given.

    A line is in the hands of the operating system when `record` returns: it survives the death of the process.
    Raises `FolderError` where the folder cannot be used and `UsageError` where it holds something else.
    """

    def __init__(self, folder: Path | None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="pipeline-emulator-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.pictures, self.clips = self.folder / "pictures", self.folder / "clips"
        self._identity_file, self._journal_file = self.folder / "emulator.json", self.folder / "tasks.jsonl"
        try:
            for part in (self.pictures, self.clips):
                part.mkdir(parents=True, exist_ok=True)
            self.tasks = self._read_journal()
            self._journal = self._journal_file.open("ab", buffering=0)
        except OSError as error:
            raise FolderError(f"{self.folder}: cannot hold an emulator: {error.strerror}") from error

    def identity(self) -> Identity:
        """The recorded one, or a new one."""
        try:
            return msgspec.json.decode(self._identity_file.read_bytes(), type=Identity)
        except FileNotFoundError:
            return Identity(secrets.token_hex(16))
        except msgspec.DecodeError as error:
            raise UsageError(f"{self._identity_file}: is not an emulator's record: {error}") from error

    def settle(self, identity: Identity) -> None:
        """Record the identity, whole or not at all."""
        try:
            store(self._identity_file, msgspec.json.encode(asdict(identity)))
        except OSError as error:
            raise FolderError(f"{self.folder}: cannot hold an emulator: {error.strerror}") from error

    def record(self, task: RemoteTask) -> None:
        """Append a task to the journal."""
        self._journal.write(msgspec.json.encode(task) + b"\n")

    def close(self) -> None:
        """Close the journal; a temporary folder is removed."""
        self._journal.close()
        if self._temporary:
            self._temporary.cleanup()

    def _read_journal(self) -> list[RemoteTask]:
        """The tasks on record. What stands after the last line break was torn by a kill and never answered."""
        if not self._journal_file.exists():
            return []
        content = self._journal_file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self._journal_file, len(whole))
        try:
            return [msgspec.json.decode(line, type=RemoteTask) for line in whole.splitlines()]
        except msgspec.DecodeError as error:
            raise UsageError(f"{self._journal_file}: is not an emulator's record: {error}") from error


def store(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and give it its own in one step, so that nobody sees half of it."""
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    unfinished.write_bytes(content)
    unfinished.replace(path)

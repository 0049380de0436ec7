"""Compares a stored file with its record, a stretch at a time."""

import hashlib
import os
import stat
from pathlib import Path

from pipeline.core.errors import FolderError
from pipeline.core.jobs import StoredFile

_STRETCH_BYTES = 8 << 20
"""Read between two moments at which a cancellation can be heard."""


class Comparison:
    """One file against its record. Every method blocks and runs in a thread."""

    def __init__(self, path: Path, record: StoredFile) -> None:
        self.verdict: str | None = None
        """What is wrong, in words; None while nothing is."""
        self._path = path
        self._record = record
        self._descriptor: int | None = None
        self._hash = hashlib.sha256()

    def step(self) -> bool:
        """Do a stretch of the work; True while there is more to do.

        Raises `FolderError` where the file cannot be read, which says nothing about what it holds.
        """
        try:
            if self._descriptor is None:
                self.verdict = self._open()
                return self.verdict is None
            return self._read(self._descriptor)
        except FileNotFoundError:
            self.verdict = "is missing"
        except (OSError, ValueError) as exc:
            raise FolderError(f"cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
        return False

    def close(self) -> None:
        """Close the file; harmless where it was never opened."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> str | None:
        # Without O_NONBLOCK a pipe under this name would hold the thread for ever.
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            return "is not a regular file"
        if found.st_size != self._record.bytes:
            return f"has {found.st_size} bytes instead of {self._record.bytes}"
        return None

    def _read(self, descriptor: int) -> bool:
        stretch = os.read(descriptor, _STRETCH_BYTES)
        self._hash.update(stretch)
        if not stretch and self._hash.hexdigest() != self._record.sha256:
            self.verdict = "has other contents than were downloaded"
        return bool(stretch)

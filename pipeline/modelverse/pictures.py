"""The local files of the submits under way, in Base64: each is held once, and all of them within a bound."""

import asyncio
import base64
import errno
import functools
import hashlib
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import aiofiles
import aiofiles.os

from pipeline.core.errors import RejectedError, TransientError
from pipeline.core.files import open_regular
from pipeline.core.jobs import LocalFile
from pipeline.core.values import Value

HELD_BYTES = 128_000_000
"""Of Base64 that is held at once: nine pictures of 10 MB, which keep a line of 300 Mbit/s busy where an answer takes
three seconds."""
_BLOCK = 3 * 2**19
"""Bytes of a file that are read and encoded at once; of whole groups of three, so that the texts can be joined."""

_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""This machine is short of something for now, and the file is not at fault."""

_Stamp = tuple[int, ...]
"""What changes with a file: device, inode, size, and both times of change."""


class Statistics(Value):
    """How much is held, in bytes of Base64."""

    used: int
    """Of pictures that a submit under way needs."""
    idle: int
    """Of pictures that are kept for the next submit that needs them."""
    most: int
    """Used and idle, at the worst moment so far."""
    waiting: int
    """Submits that wait for room."""
    encoded: int
    """How often a file was encoded so far."""


@dataclass(slots=True)
class _Picture:
    """The text of one content, whatever the files are called that have it."""

    size: int
    """Bytes of Base64."""
    text: tuple[bytes, ...] = ()
    users: int = 0
    seen: tuple[str, _Stamp] | None = None
    """The path, and its stamp, that was last found to have this content."""
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Held(Value):
    """The Base64 of a job's files, by SHA-256, until it is let go."""

    texts: Mapping[str, tuple[bytes, ...]]
    let_go: Callable[[], None]


class Pictures:
    """Encodes local files, and holds no more than `limit` bytes of their Base64 at once.

    Whoever needs files waits, in order, until all of them have room, and holds nothing meanwhile: nobody waits for
    somebody who waits. What is larger than the limit is let in alone. Files that nobody needs any more are kept while
    there is room, because the next job may name them again.
    """

    def __init__(self, limit: int = HELD_BYTES) -> None:
        self._limit = limit
        self._since = time.time_ns()
        self._used: dict[str, _Picture] = {}
        self._idle: OrderedDict[str, _Picture] = OrderedDict()
        self._used_bytes = self._idle_bytes = self._most = self._encoded = 0
        self._line: deque[tuple[Mapping[str, int], asyncio.Future[None]]] = deque()

    def statistics(self) -> Statistics:
        """How it stands."""
        waiting = sum(not turn.done() for _, turn in self._line)
        return Statistics(self._used_bytes, self._idle_bytes, self._most, waiting, self._encoded)

    async def hold(self, files: Iterable[LocalFile]) -> Held:
        """The files' Base64, once there is room for it; the caller lets go of it, exactly once.

        Each file is looked at: other bytes than those that were enrolled raise `RejectedError` with
        code `local_file_changed`, others are `local_file_missing` and `local_file_unreadable`; `TransientError` where
        this machine has no more files or memory to read one with.
        """
        files = list(files)
        wanted = {file.sha256: encoded_size(file.bytes) for file in files}
        await self._room_for(wanted)
        try:
            for file in files:
                await self._have(file, self._used[file.sha256])
        except BaseException:
            self._leave(wanted)
            raise
        return Held({sha256: self._used[sha256].text for sha256 in wanted}, functools.partial(self._leave, wanted))

    # -- room -------------------------------------------------------------------------------------------------------

    async def _room_for(self, wanted: Mapping[str, int]) -> None:
        if not self._line and self._fits(wanted):
            self._enter(wanted)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((wanted, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._serve()  # it may have stood first, and the next one may need less
            else:
                self._leave(wanted)  # its turn had come already
            raise

    def _fits(self, wanted: Mapping[str, int]) -> bool:
        more = sum(size for sha256, size in wanted.items() if sha256 not in self._used)
        return not self._used or self._used_bytes + more <= self._limit

    def _enter(self, wanted: Mapping[str, int]) -> None:
        for sha256, size in wanted.items():
            picture = self._used.get(sha256)
            if picture is None:
                picture = self._used[sha256] = self._woken(sha256) or _Picture(size)
                self._used_bytes += picture.size
            picture.users += 1
        while self._idle and self._used_bytes + self._idle_bytes > self._limit:
            self._idle_bytes -= self._idle.popitem(last=False)[1].size
        self._most = max(self._most, self._used_bytes + self._idle_bytes)

    def _woken(self, sha256: str) -> _Picture | None:
        picture = self._idle.pop(sha256, None)
        if picture is not None:
            self._idle_bytes -= picture.size
        return picture

    def _leave(self, wanted: Mapping[str, int]) -> None:
        for sha256 in wanted:
            picture = self._used[sha256]
            picture.users -= 1
            if picture.users == 0:
                del self._used[sha256]
                self._used_bytes -= picture.size
                self._keep(sha256, picture)
        self._serve()

    def _keep(self, sha256: str, picture: _Picture) -> None:
        if picture.text and self._used_bytes + self._idle_bytes + picture.size <= self._limit:
            self._idle[sha256] = picture
            self._idle_bytes += picture.size

    def _serve(self) -> None:
        """Let those in who stand first, as far as there is room."""
        while self._line:
            wanted, turn = self._line[0]
            if not turn.done():
                if not self._fits(wanted):
                    return
                self._enter(wanted)
                turn.set_result(None)
            self._line.popleft()

    # -- reading ----------------------------------------------------------------------------------------------------

    async def _have(self, file: LocalFile, picture: _Picture) -> None:
        """See that the file still has the bytes that were checked, and that the picture has their text."""
        try:
            async with picture.reading:
                found = await aiofiles.os.stat(file.path)
                stamp = _stamp(found)
                if not picture.text or picture.seen != (file.path, stamp):
                    if not await self._read(file, picture):
                        raise _changed(file, lately=found.st_ctime_ns >= self._since)
                    picture.seen = (file.path, stamp)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise RejectedError(f"{file.path}: the file is gone ({file.field})", code="local_file_missing") from exc
        except OSError as exc:
            if exc.errno in _SHORT:
                raise TransientError(f"{file.path}: {exc.strerror}", code="local_file_unreadable") from exc
            raise RejectedError(
                f"{file.path}: the file cannot be read: {exc.strerror} ({file.field})", code="local_file_unreadable"
            ) from exc

    async def _read(self, file: LocalFile, picture: _Picture) -> bool:
        """Whether the file has the bytes that were enrolled; the picture then has their text."""
        reading = _Reading(encodes=not picture.text)
        async with aiofiles.open(file.path, "rb", opener=open_regular) as opened:
            block = None
            while (block is None or len(block) == _BLOCK) and reading.bytes <= file.bytes:
                block = await opened.read(_BLOCK)
                await asyncio.to_thread(reading.take, block)
        if reading.digest.hexdigest() != file.sha256:
            return False
        if reading.encodes:
            picture.text = tuple(reading.text)
            self._encoded += 1
        return True


class _Reading:
    """One way through a file; `take` runs on a thread."""

    def __init__(self, *, encodes: bool) -> None:
        self.encodes = encodes
        self.digest = hashlib.sha256()
        self.text: list[bytes] = []
        self.bytes = 0

    def take(self, block: bytes) -> None:
        self.digest.update(block)
        self.bytes += len(block)
        if self.encodes:
            self.text.append(base64.b64encode(block))


def _changed(file: LocalFile, *, lately: bool) -> RejectedError:
    """The file has other bytes than those that were enrolled: since this run began, or since an earlier one."""
    what = (
        "the file has changed while the run went on" if lately else "the file has other bytes than when it was enrolled"
    )
    return RejectedError(
        f"{file.path}: {what} ({file.field}); "
        "put the old one back and say --retry-failed, or say --on-changed rerun to take the new one",
        code="local_file_changed",
    )


def encoded_size(size: int) -> int:
    """Characters of the Base64 of so many bytes."""
    return (size + 2) // 3 * 4


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

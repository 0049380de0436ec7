"""The blocking side of a download: a part, its validator, and the step that gives the file its final name.

What a crash leaves behind is either resumable or starts over, never wrongly joined: a new part is empty before its
validator is replaced or removed, and gets its first byte only after that. Every method here blocks and runs in a
thread.
"""

import errno
import functools
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pipeline.core.errors import InterruptedDownloadError, NoSpaceError, PipelineError, UnusableResultError
from pipeline.core.values import Value
from pipeline.videos.kinds import OPENING_BYTES, boxes_close, excerpt, kind_of
from pipeline.videos.places import Place, disk_errors, flush_folders, free_bytes, move, regular_size, remove
from pipeline.videos.ranges import Kept, Validator

_MOST_BUFFERS = 256
"""Buffers of one gathered write; systems allow at least 1,024."""
_READ_AT_ONCE = 8 << 20
"""Bytes of what lies on the disk, read between two looks at whether anybody still waits."""
_FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a new file is opened: whatever has its name already is not written through."""
_LONGEST_VALIDATOR = 200_000
"""Bytes; the longest URL we open, escaped, fits with room to spare."""


class Digest(Protocol):
    """A running hash, as `hashlib` makes them."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


_FLUSH: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
"""macOS has no fdatasync."""


class Assurance(Value):
    """What vouches for a stored file beside its length and its first bytes."""

    digest: Callable[[], Digest] = hashlib.sha256
    flush: Callable[[int], None] = _FLUSH
    """Of a file's descriptor."""
    flush_folder: Callable[[int], None] = os.fsync
    """Of the descriptor of the folder in which the file gets its name."""


class Proof(Struct, frozen=True):
    """What a file must show before it gets its name."""

    total: int | None = None
    """Its length in bytes, where the host told; the boxes of an MP4 must close exactly where it did not."""
    by_close: bool = False
    """The host told no length, and nothing but the close of the connection was the end: only an MP4 can show that it is
    whole."""


@functools.cache
def boot_id() -> str:
    """What changes when this machine restarts; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def require_media(opening: bytes) -> None:
    """Raises `UnusableResultError` (`not_a_video`) unless media of a known kind begins like this."""
    if kind_of(opening) is None:
        shown = f"it begins {excerpt(opening)!r}" if opening else "it is empty"
        raise UnusableResultError(f"the result is not a video: {shown}", code="not_a_video")


class PartFile:
    """The unfinished bytes of one output, open or not, and their running hash. One thread at a time uses it."""

    def __init__(self, place: Place, assurance: Assurance) -> None:
        self._place = place
        self._assurance = assurance
        self._descriptor: int | None = None
        self._hash = assurance.digest()
        self._broken = False
        self._hurried = False

    def prepare(self) -> tuple[Kept, int]:
        """Make the folders and look for what an earlier try left; without a readable validator that is nothing.

        Returns it, and the free space in bytes.
        """
        self._place.prepare()
        with disk_errors:
            size = regular_size(self._place.part)
            validator = self._read_validator() if size else None
            room = free_bytes(self._place.videos)
        return Kept(size or 0, validator) if validator else Kept(), room

    def reopen(self, size: int) -> None:
        """Open the part to go on at `size`, and hash what it holds."""
        with disk_errors:
            self._descriptor = os.open(self._place.part, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            if os.lseek(self._descriptor, 0, os.SEEK_END) != size:
                self._broken = True
                raise InterruptedDownloadError("somebody else writes to the unfinished file", code="busy")
            for offset in range(0, size, _READ_AT_ONCE):
                if self._hurried:
                    break
                self._hash.update(os.pread(self._descriptor, min(_READ_AT_ONCE, size - offset), offset))

    def hurry(self) -> None:
        """Nobody waits for the hash any more: the file will be left as it is, at the next stretch. Never blocks."""
        self._hurried = True

    def append(self, buffers: list[bytes], validator: Validator | None) -> None:
        """Write after what is there; the first call of a new part makes it, and its validator if there is one.

        After an error nothing is written any more: bytes after a gap would be taken for a resumable part.
        """
        if self._broken:
            raise NoSpaceError("an earlier block of this file could not be written", code="no_space")
        try:
            with disk_errors:
                if self._descriptor is None:
                    self._begin(validator)
                _write_all(self._opened, buffers)
        except BaseException:
            self._broken = True
            raise
        for buffer in buffers:
            self._hash.update(buffer)

    def publish(self, rest: list[bytes], validator: Validator, proof: Proof) -> tuple[int, str]:
        """Write the rest, check the whole, flush it, and only then give it its final name.

        Returns length (bytes) and hex SHA-256. Raises `InterruptedDownloadError` where bytes are missing and
        `UnusableResultError` where it is no video. A small file comes and goes in this one call.
        """
        at_once = self._descriptor is None and sum(map(len, rest)) == proof.total
        if at_once:
            self._append_all(rest, validator)
        else:
            self.append(rest, validator)
        place = self._place
        with disk_errors:
            size = self._checked_size(proof)
            self._assurance.flush(self._opened)
        self.close()
        try:
            self._settle()
        except PipelineError:
            if at_once:
                self._keep(validator)
            raise
        if not at_once:
            with disk_errors:
                remove(place.validator)
        return size, self._hash.hexdigest()

    def close(self) -> None:
        """Close the part and leave it for the next try."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with disk_errors:
                os.close(descriptor)

    def discard(self) -> None:
        """Remove the part and its validator."""
        self.close()
        with suppress(OSError):  # hardly ever there, and its folder may be anything by now
            remove(self._place.beside)
        with disk_errors:
            remove(self._place.part)
            remove(self._place.validator)

    def _settle(self) -> None:
        """Bring the whole, flushed file to its final place, durably."""
        place = self._place
        place.prepare()
        with place.errors:
            self._put()
            flush_folders(place.folder, place.videos, self._assurance.flush_folder)

    def _put(self) -> None:
        """Give the whole file its name: in one step, or by way of a flushed copy where its folder is another disk's."""
        place = self._place
        try:
            move(place.part, place.final)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            return
        try:
            self._carry(place.part, place.beside)
            move(place.beside, place.final)
        except BaseException:
            with suppress(OSError):
                remove(place.beside)
            raise
        remove(place.part)

    def _carry(self, path: str, target: str) -> None:
        """Copy a file to another disk, flushed. Raises `InterruptedDownloadError` once nobody waits for it."""
        remove(target)
        with open(path, "rb", buffering=0) as source:  # noqa: PTH123 - paths are plain strings here
            descriptor = os.open(target, _FRESH, 0o644)
            try:
                while stretch := source.read(_READ_AT_ONCE):
                    if self._hurried:
                        raise InterruptedDownloadError("nobody waits for the file any more", code="busy")
                    _write_all(descriptor, [stretch])
                self._assurance.flush(descriptor)
            finally:
                os.close(descriptor)

    def _append_all(self, buffers: list[bytes], validator: Validator) -> None:
        """A file that is all there needs no validator, unless the disk does not take all of it."""
        try:
            self.append(buffers, None)
        except NoSpaceError:
            self._keep(validator)
            raise

    def _keep(self, validator: Validator) -> None:
        """Leave what has arrived for the next try, which is a help and no promise."""
        with suppress(OSError):
            self._write_validator(validator)

    @property
    def _opened(self) -> int:
        if self._descriptor is None:
            raise ValueError("the part is not open")
        return self._descriptor

    def _checked_size(self, proof: Proof) -> int:
        size = os.fstat(self._opened).st_size
        if proof.total is not None and size != proof.total:
            self._refuse_length(size, proof.total)
        opening = self._read_at(0, OPENING_BYTES)
        if size or not proof.by_close:
            require_media(opening)
        if proof.total is None and (proof.by_close or kind_of(opening) == "mp4"):
            self._require_end(size, proof)
        return size

    def _require_end(self, size: int, proof: Proof) -> None:
        if boxes_close(self._read_at, size, open_end=not proof.by_close):
            return
        if proof.by_close:
            raise InterruptedDownloadError("the connection ended inside the video", code="cut")
        raise InterruptedDownloadError(f"the answer ended inside the video, after {size} bytes", code="cut")

    def _refuse_length(self, size: int, total: int) -> None:
        if size > total:
            self.discard()  # nobody can say which of the bytes are too many
        raise InterruptedDownloadError(f"{size} bytes arrived where {total} were announced", code="cut")

    def _read_at(self, offset: int, count: int) -> bytes:
        return os.pread(self._opened, count, offset)

    def _begin(self, validator: Validator | None) -> None:
        """Make an empty part, and see that no other validator than its own lies beside it."""
        # A fresh file rather than a truncated one: whatever lay here, a link included, is not written through.
        try:
            self._descriptor = os.open(self._place.part, _FRESH, 0o644)
        except FileExistsError:
            remove(self._place.part)
            self._descriptor = os.open(self._place.part, _FRESH, 0o644)
        if validator is None:
            remove(self._place.validator)
        else:
            self._write_validator(validator)

    def _write_validator(self, validator: Validator) -> None:
        fresh = f"{self._place.validator}.new"
        remove(fresh)
        # Nobody else may read it: it holds a signed URL.
        descriptor = os.open(fresh, _FRESH, 0o600)
        try:
            _write_all(descriptor, [msgspec.json.encode(replace(validator, boot=boot_id()))])
        finally:
            os.close(descriptor)
        move(fresh, self._place.validator)

    def _read_validator(self) -> Validator | None:
        size = regular_size(self._place.validator)
        if size is None or size > _LONGEST_VALIDATOR or not os.access(self._place.part, os.R_OK | os.W_OK):
            return None
        try:
            validator = msgspec.json.decode(Path(self._place.validator).read_bytes(), type=Validator)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, PermissionError):
            return None
        return validator if validator.boot == boot_id() else None


def _write_all(descriptor: int, buffers: list[bytes]) -> None:
    if len(buffers) > _MOST_BUFFERS:
        buffers = [b"".join(buffers)]
    wanted = sum(len(buffer) for buffer in buffers)
    written = os.writev(descriptor, buffers) if wanted else 0
    if written < wanted:
        left = memoryview(b"".join(buffers))[written:]
        while left:
            left = left[os.write(descriptor, left) :]

"""Where an output lies on disk, and that it stays inside `videos/`. Paths are plain strings here."""

# ruff: noqa: PTH102, PTH103, PTH105, PTH108, PTH114, PTH118, PTH120 - path objects cost a small download as much as its bytes

import errno
import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from msgspec import Struct

from pipeline.core.errors import (
    DownloadError,
    FolderError,
    InterruptedDownloadError,
    NoSpaceError,
    PipelineError,
    UnusableResultError,
)

VIDEOS = "videos"
PARTS = ".parts"

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BAD_NAME = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.EILSEQ})
_NO_HANDLE = frozenset({errno.EMFILE, errno.ENFILE})
_SHUT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV, errno.EBUSY, errno.ETXTBSY})
"""What shuts a place to us, and may do so to one output alone."""
_AWAY = frozenset({errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO})
"""What a disk answers that has gone; it may be one that is mounted below `videos/`."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NO_NAME = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class _DiskErrors:
    """Turns the disk's errors into ours.

    They are `NoSpaceError`, a name that cannot be (`bad_output`), `InterruptedDownloadError` where this machine has no
    file handle left, and `FolderError` for everything else, since it concerns every output.
    """

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise _ours(error) from error


disk_errors = _DiskErrors()


def _ours(error: OSError, path: str | None = None) -> PipelineError:
    named = error.filename or path
    reason = f"{error.strerror or error} ({named})" if named else str(error.strerror or error)
    if error.errno in _NO_SPACE:
        return NoSpaceError(f"the disk cannot take the video: {reason}", code="no_space")
    if error.errno in _BAD_NAME:
        return _bad_output(f"this output name cannot be used here: {reason}")
    if error.errno in _NO_HANDLE:
        return InterruptedDownloadError(f"no file can be opened for the moment: {reason}", code="no_handles")
    if error.errno == errno.ENOENT:
        reason += "; where it was moved, move it back before the next run, which would else buy everything anew"
    return FolderError(f"the output folder cannot be used: {reason}")


class _OutputErrors(Struct, frozen=True):
    """As `disk_errors`, for steps in an output's own place: what shuts that place alone is this output's failure."""

    place: "Place"

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, OSError):
            return
        below = self.place.folder != self.place.videos
        if (error.errno in _SHUT or (below and error.errno in _AWAY)) and self.place.is_own_ground():
            raise DownloadError(
                f"the video cannot be put at {self.place.final}: {error.strerror or error}; "
                "let this user write there, or take away what is in the way",
                code="bad_place",
            ) from error
        raise _ours(error, self.place.final) from error


class Place(Struct, frozen=True):
    """The paths of one output."""

    name: str
    """Of the file, relative to the output folder."""
    videos: str
    folder: str
    """Where the file goes: `videos`, or below it."""
    final: str
    parts: str
    part: str
    """Unfinished bytes. Flat and short whatever the output is called: a digest keeps similar names apart."""
    validator: str
    """What the unfinished bytes belong to."""
    beside: str
    """Where a whole file goes before it gets its name, if its folder lies on another disk than its part."""

    @property
    def errors(self) -> _OutputErrors:
        """The disk's errors as ours, for steps in the output's own place."""
        return _OutputErrors(self)

    def is_own_ground(self) -> bool:
        """Whether trouble here may be this output's alone: its own folder is there already, or something has its name.

        Otherwise it is `videos` itself that cannot take it.
        """
        below = self.final[len(self.videos) + 1 :].partition("/")[0]
        try:
            os.lstat(f"{self.videos}/{below}")
        except OSError as error:  # another error: it is there, and unwell
            return error.errno != errno.ENOENT
        return True

    def prepare(self) -> None:
        """Make the folders, and refuse an output that leads out of `videos/` or that no file can be called.

        `videos` itself may be a link to a larger disk. Raises like `disk_errors`, and `DownloadError` (`bad_place`)
        where nothing but the output's own place is shut.
        """
        with disk_errors:
            _make_own(self.videos, os.stat)
            _make_own(self.parts, os.lstat)
        with self.errors:
            if self.folder != self.videos:
                self._make_folder()
            if _is_folder(self.final):
                raise _bad_output(f"{self.final} is a folder")

    def _make_folder(self) -> None:
        """A folder of the output's own; links may lead about inside `videos/`, but not out of it."""
        # realpath leaves a loop of links to the next system call, which refuses it.
        root, real = os.path.realpath(self.videos), os.path.realpath(self.folder)
        if os.path.commonpath([root, real]) != root:
            raise _bad_output(f"the output {self.final!r} would lie outside {self.videos}, behind a link")
        os.makedirs(self.folder, exist_ok=True)


class Places:
    """The places of all outputs below an output folder."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._videos = os.path.join(folder, VIDEOS)
        self._parts = os.path.join(self._videos, PARTS)

    def of(self, output: str) -> Place:
        """Where `output` (relative POSIX) lies. Raises `UnusableResultError` (`bad_output`)."""
        if _NO_NAME.search(output) or output.startswith("/") or ".." in output.split("/"):
            raise _bad_output(f"{output!r} is not a file name inside {VIDEOS}/")
        name = posixpath.normpath(output)
        if name == "." or name.partition("/")[0].casefold() == PARTS:
            raise _bad_output(f"{output!r} is not a file name inside {VIDEOS}/")
        below, _, last = name.rpartition("/")
        digest = hashlib.sha256(output.encode()).hexdigest()[:20]
        stem = f"{self._parts}/{digest}-{_UNSAFE.sub('_', last)[-60:]}"
        return Place(
            name=f"{VIDEOS}/{name}",
            videos=self._videos,
            folder=f"{self._videos}/{below}" if below else self._videos,
            final=f"{self._videos}/{name}",
            parts=self._parts,
            part=f"{stem}.part",
            validator=f"{stem}.json",
            beside=f"{self._videos}/{below}{'/' if below else ''}.{digest}.part",
        )


def flush_folders(folder: str, top: str, flush: Callable[[int], None] = os.fsync) -> None:
    """Flush a folder and those above it, up to `top`: a new name is durable only once its folder is."""
    while True:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flush(descriptor)
        finally:
            os.close(descriptor)
        if folder == top:
            break
        folder = os.path.dirname(folder)


def free_bytes(folder: str | os.PathLike[str]) -> int:
    """Free space of the disk that a folder lies on."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def regular_size(path: str) -> int | None:
    """The length in bytes of a regular file, or None where there is none under this very name."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def move(path: str, target: str) -> None:
    """Give a file another name, in the place of whatever has that name."""
    os.replace(path, target)


def remove(path: str) -> None:
    """Remove a file if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def _make_own(path: str, look: Callable[[str], os.stat_result]) -> None:
    """Make one of the store's own folders; their parent must be there already. `look` decides whether links count."""
    try:
        found = look(path)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another download made it in this moment
            os.mkdir(path)
        found = _looked_again(path, look)
    if stat.S_ISLNK(found.st_mode):
        raise FolderError(f"{path} is a link to somewhere else")
    if not stat.S_ISDIR(found.st_mode):
        raise FolderError(f"{path} is in the way: it should be a folder")


def _looked_again(path: str, look: Callable[[str], os.stat_result]) -> os.stat_result:
    try:
        return look(path)
    except FileNotFoundError as error:
        if os.path.islink(path):
            raise dangling(path) from error
        raise


def dangling(path: str) -> FolderError:
    """The error for a link in the place of a folder, which leads to nothing."""
    return FolderError(f"{path} is a link to a place that is not there: bring its disk back, or remove the link")


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _bad_output(message: str) -> UnusableResultError:
    return UnusableResultError(message, code="bad_output")

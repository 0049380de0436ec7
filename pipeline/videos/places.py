"""Where an output lies on disk, and that it stays inside `videos/`."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.core.errors import FolderError, NoSpaceError, UnusableResultError

VIDEOS = "videos"
PARTS = ".parts"

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BAD_NAME = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.EILSEQ})
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NO_NAME = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turns the disk's errors into ours: `NoSpaceError`, a name that cannot be (`bad_output`), or `FolderError`."""
    try:
        yield
    except OSError as exc:
        reason = f"{exc.strerror or exc} ({exc.filename})" if exc.filename else str(exc.strerror or exc)
        if exc.errno in _NO_SPACE:
            raise NoSpaceError(f"the disk cannot take the video: {reason}", code="no_space") from exc
        if exc.errno in _BAD_NAME:
            raise _bad_output(f"this output name cannot be used here: {reason}") from exc
        raise FolderError(f"the output folder cannot be used: {reason}") from exc


@dataclass(frozen=True, slots=True)
class Place:
    """The paths of one output."""

    videos: Path
    final: Path
    part: Path
    """Unfinished bytes. Flat and short whatever the output is called: a digest keeps similar names apart."""
    validator: Path
    """What the unfinished bytes belong to."""

    def prepare(self) -> None:
        """Make the folders, and refuse an output that leads out of `videos/` or that no file can be called.

        `videos` itself may be a link to a larger disk. Raises like `disk_errors`.
        """
        with disk_errors():
            root = _own_folder(self.videos)
            if _own_folder(self.part.parent) != root / PARTS:
                raise FolderError(f"{self.part.parent} is a link to somewhere else")
            if not _real(self.final.parent).is_relative_to(root):
                raise _bad_output(f"the output {self.final.name!r} would lie outside {self.videos}, behind a link")
            self.final.parent.mkdir(parents=True, exist_ok=True)
            if _is_folder(self.final):
                raise _bad_output(f"{self.final} is a folder")


def place_of(folder: Path, output: str) -> Place:
    """Where `output` (relative POSIX) lies below the output folder. Raises `UnusableResultError` (`bad_output`)."""
    pure = PurePosixPath(output)
    first = pure.parts[0].casefold() if pure.parts else PARTS
    if pure.is_absolute() or ".." in pure.parts or first == PARTS or _NO_NAME.search(output):
        raise _bad_output(f"{output!r} is not a file name inside {VIDEOS}/")
    videos = folder / VIDEOS
    digest = hashlib.sha256(output.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    stem = videos / PARTS / f"{digest}-{_UNSAFE.sub('_', pure.name)[-60:]}"
    return Place(videos, videos / pure, stem.with_name(stem.name + ".part"), stem.with_name(stem.name + ".json"))


def flush_folders(folder: Path, top: Path) -> None:
    """fsync a folder and those above it, up to `top`: a new name is durable only once its folder is."""
    for each in (folder, *folder.parents):
        descriptor = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if each == top:
            break


def regular_size(path: Path) -> int | None:
    """The length in bytes of a regular file, or None where there is none under this very name."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _own_folder(path: Path) -> Path:
    """Make one of the store's own folders and return its real path; their parent must be there already."""
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError as exc:
        raise FolderError(f"{path} is in the way: it should be a folder") from exc
    return _real(path)


def _real(path: Path) -> Path:
    # Path.resolve fails with a RuntimeError on a loop of links; this one leaves the loop to the next system call.
    return Path(os.path.realpath(path))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _bad_output(message: str) -> UnusableResultError:
    return UnusableResultError(message, code="bad_output")

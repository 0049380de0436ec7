"""The output folder as a whole: where things lie in it, and the lock that lets one run at a time hold it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import FolderBusyError, FolderError, UsageError

REHEARSAL_SUFFIX = "-rehearsal"


def default_folder(manifest_name: str) -> Path:
    """Where a manifest's videos go unless somebody says otherwise."""
    return Path("outputs") / manifest_name


def rehearsal_folder(folder: Path) -> Path:
    """Where a rehearsal of the same manifest goes: never into the folder of the paid batch.

    Raises `UsageError` for a folder that has no name.
    """
    if is_rehearsal(folder):
        return folder
    named = _named(folder)
    if not named.name:
        raise UsageError(f"{folder} has no name that could say of a rehearsal; choose another folder with -o")
    return named.with_name(named.name + REHEARSAL_SUFFIX)


def is_rehearsal(folder: Path) -> bool:
    """Whether the folder's name says that it holds a rehearsal."""
    return _named(folder).name.endswith(REHEARSAL_SUFFIX)


def _named(folder: Path) -> Path:
    """The folder by its name, also where it was told as `.` or `..`."""
    return Path(os.path.abspath(folder)) if folder.name in ("", "..") else folder  # noqa: PTH100 - links stay


def paid_folder(folder: Path) -> Path:
    """The folder of a paid batch. Raises `UsageError` where its name says that it holds a rehearsal."""
    if is_rehearsal(folder):
        raise UsageError(f"{folder} is the folder of a rehearsal; choose another with -o, or say --rehearse")
    return folder


def run_folder(folder: Path, *, rehearse: bool) -> Path:
    """The folder of a run that was asked to write into `folder`. Raises `UsageError` as `paid_folder` does."""
    return rehearsal_folder(folder) if rehearse else paid_folder(folder)


@contextmanager
def hold(folder: Path) -> Iterator[Path]:
    """Make the folder and hold it; the lock ends with the process, however that ends.

    Raises `FolderBusyError` where another run holds it and `FolderError` where it cannot be made or written.
    """
    import filelock  # whoever only names a folder does not wait for it

    lock = filelock.FileLock(folder / ".lock", mode=0o600)
    try:
        folder.mkdir(mode=0o775, parents=True, exist_ok=True)  # no umask makes it everybody's
        if (folder / ".lock").is_symlink():
            raise FolderError(f"{folder / '.lock'} is a link; remove it, or use another output folder")
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise FolderBusyError(f"another run holds {folder}; wait for it, or stop it with SIGTERM") from error
    except OSError as error:
        raise FolderError(f"{folder} cannot be used: {error.strerror or error}") from error
    try:
        yield folder
    finally:
        lock.release()

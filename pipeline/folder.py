"""The output folder as a whole: where things lie in it, and the lock that lets one run at a time hold it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from pipeline.core.errors import FolderBusyError, FolderError, UsageError

REHEARSAL_SUFFIX = "-rehearsal"


def default_folder(manifest_name: str) -> Path:
    """Where a manifest's videos go unless somebody says otherwise."""
    return Path("outputs") / manifest_name


def rehearsal_folder(folder: Path) -> Path:
    """Where a rehearsal of the same manifest goes: never into the folder of the paid batch."""
    if folder.name.endswith(REHEARSAL_SUFFIX):
        return folder
    return folder.with_name(folder.name + REHEARSAL_SUFFIX)


def paid_folder(folder: Path) -> Path:
    """The folder of a paid batch. Raises `UsageError` where its name says that it holds a rehearsal."""
    if folder.name.endswith(REHEARSAL_SUFFIX):
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

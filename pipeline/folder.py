"""The output folder as a whole: where things lie in it, and the lock that lets one run at a time hold it."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from pipeline.core.errors import FolderBusyError, FolderError, UsageError

REHEARSAL_SUFFIX = "-rehearsal"
_LOCKS = Path("/proc/locks")
LOOK_EVERY = 0.5
"""Seconds between two looks whether the run that is waited for has let go; one look takes some 50 µs."""


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
        raise FolderBusyError(f"another run holds {folder}; wait for it, or {_stop_it(folder)}") from error
    except OSError as error:
        raise FolderError(f"{folder} cannot be used: {error.strerror or error}") from error
    try:
        yield folder
    finally:
        lock.release()


def holder(folder: Path) -> int | None:
    """The process of this machine that holds the folder: its id, 0 where none does, None where nobody can tell.

    The kernel's table of locks is read (https://man7.org/linux/man-pages/man5/proc_locks.5.html): to try the lock would
    get in the way of a run that begins in the same moment. Processes in other containers or at other machines, which
    may share the folder, are not in it.
    """
    try:
        found = (folder / ".lock").stat()
        lines = _LOCKS.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return 0 if _LOCKS.exists() else None
    except OSError:
        return None
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    alike = False
    for line in lines:
        match line.split():
            case [_, "FLOCK", _, "WRITE", pid, place, *_] if place.endswith(f":{found.st_ino}"):
                if place == f"{device}:{found.st_ino}":
                    return int(pid)
                alike = True  # some file systems tell the kernel's table another device
    return None if alike else 0


def _stop_it(folder: Path) -> str:
    """How to stop the run that holds the folder."""
    pid = holder(folder)
    return f"stop it with SIGTERM (kill {pid})" if pid else "stop it with SIGTERM"


@asynccontextmanager
async def hold_when_free(folder: Path, patience: float | None, awaited: Callable[[], None]) -> AsyncIterator[Path]:
    """`hold`, waiting up to `patience` seconds for another run to let go; `awaited` is called once, before the wait.

    A cancelled wait leaves nothing behind. Raises as `hold` does, and `FolderError` where the folder that was waited
    for is gone: a batch that somebody moved away must not be bought anew.
    """
    with ExitStack() as held:
        try:
            held.enter_context(hold(folder))
        except FolderBusyError:
            if not patience:
                raise
            awaited()
            await _wait(held, folder, patience)
        yield folder


async def _wait(held: ExitStack, folder: Path, patience: float) -> None:
    """Look now and then whether the folder can be held by now."""
    import asyncio  # whoever only names a folder does not wait for it

    clock = asyncio.get_running_loop().time
    end = clock() + patience
    while (left := end - clock()) > 0:
        await asyncio.sleep(min(LOOK_EVERY, left))
        with suppress(FolderBusyError):
            held.enter_context(_hold_existing(folder))
            return
    raise FolderBusyError(
        f"another run still holds {folder} after {patience:g} s; wait longer with --wait-lock, or {_stop_it(folder)}"
    ) from None


def _hold_existing(folder: Path) -> AbstractContextManager[Path]:
    if not folder.is_dir():
        raise FolderError(f"{folder} was moved or removed while this run waited for it; nothing was submitted")
    return hold(folder)

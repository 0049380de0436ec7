"""Files that are there whole or not at all: written beside their place, and put there by one rename.

A rename takes away what was there. So whoever is told a place by somebody asks first whether it is free: nothing that
is not ours goes that way, and nothing that a batch lives by.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from pipeline.ledger import LEDGER_NAME, RESULTS_NAME

_OWN = (LEDGER_NAME, RESULTS_NAME, ".lock")
"""What lies in an output folder, beside `videos/`; the ledger's companions have longer names of the same beginning."""


def is_ours(path: Path, head: bytes) -> bool:
    """Whether nothing is lost when the file is written anew: there is none, it is empty, or it begins as ours do.

    A link, a device or a pipe is never ours, and is never opened.
    """
    try:
        seen = path.lstat()
        if not stat.S_ISREG(seen.st_mode):
            return False
        with path.open("rb") as file:
            return file.read(len(head)) in (b"", head)
    except FileNotFoundError:
        return True


def is_of_the_batch(path: Path, folder: Path) -> bool:
    """Whether the place is that of the ledger, the results, the lock or a video of the folder, there or not."""
    inside, place = Path(os.path.realpath(folder)), Path(os.path.realpath(path.parent), path.name)
    if not place.is_relative_to(inside):
        return place.is_relative_to(os.path.realpath(folder / "videos"))
    return place.is_relative_to(inside / "videos") or (place.parent == inside and place.name.startswith(_OWN))


def write_whole(path: Path, content: bytes, *, mode: int, durable: bool = False) -> None:
    """Put `content` under `path` in the place of what is there. Raises `OSError`; the old file is untouched then.

    A reader sees the old file or the new one. `mode` is subject to the umask; `durable` flushes the bytes before they
    get their name.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        beside.unlink()  # of an earlier process with our number; a link is not written through
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        try:
            _write(descriptor, content)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]

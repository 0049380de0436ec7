"""Small files that are there whole or not at all: written beside their place, and put there by one rename."""

import os
from contextlib import suppress
from pathlib import Path


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

"""Files as the system sees them: what may be opened, and which names are one."""

import errno
import os
import stat
import unicodedata


def fold(name: str) -> str:
    """The name as file systems see it that know no case and one Unicode form: equal folds collide there."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def open_regular(path: str, flags: int) -> int:
    """For `open(…, opener=open_regular)`. Raises `OSError` where the path leads to a pipe, a device or a directory.

    A pipe that has taken a file's name would hold whoever reads it for ever.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is a directory" if stat.S_ISDIR(mode) else "it is no regular file", path)

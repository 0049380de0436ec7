"""Opening what may be anything by now: an opener for `open` that takes regular files alone."""

import errno
import os
import stat


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

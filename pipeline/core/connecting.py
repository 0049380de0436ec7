"""Why a connection could not be made, in the operating system's words."""

import errno
import os
import re


def why_unreached(error: OSError) -> str:
    """`connection refused`, `network is unreachable`, …, without the addresses that were tried.

    The libraries in between put their own words around the system's number, or several of them into one text.
    """
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    numbers = dict.fromkeys(re.findall(r"\[Errno (\d+)\]", str(error)))
    if numbers:
        return ", ".join(os.strerror(int(number)).lower() for number in numbers)
    if isinstance(error, ConnectionResetError) and not error.args:  # an event loop's, where TLS was to begin
        return os.strerror(errno.ECONNRESET).lower()
    said = error.strerror or str(error)
    return said[:1].lower() + said[1:]

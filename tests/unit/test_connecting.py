"""The operating system's reason for a connection that was not made."""

import errno
import socket

import pytest

from pipeline.core.connecting import why_unreached

REASONS = {
    "one address": (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 80)"), "connection refused"),
    "several addresses": (
        OSError(
            f"Multiple exceptions: [Errno {errno.ENETUNREACH}] Connect call failed ('::1', 80, 0, 0), "
            f"[Errno {errno.ECONNREFUSED}] Connect call failed ('127.0.0.1', 80)"
        ),
        "network is unreachable, connection refused",
    ),
    "a name": (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name or service not known"),
    "words alone": (OSError("The host said no"), "the host said no"),
    "a reset without words": (ConnectionResetError(), "connection reset by peer"),
    "nothing": (OSError(), ""),
}


@pytest.mark.parametrize(("error", "reason"), REASONS.values(), ids=REASONS)
def test_only_the_reason_is_told_when_a_connection_cannot_be_made(error: OSError, reason: str) -> None:
    """Whatever a library wraps around it, people read the system's own words."""
    assert why_unreached(error) == reason

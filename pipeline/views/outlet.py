"""A way out for words that never makes a run wait: a thread of its own writes to the stream."""

import contextlib
import os
import select
import threading
import time
from collections import deque
from typing import TextIO

PATIENCE = 2.0
"""Seconds for which the end waits for a stream that takes nothing more."""
MOST = 16_000_000
"""Bytes that wait at most for a stream that takes nothing; what comes then is counted and lost."""
_PIECE = 4096


class Outlet:
    """A text stream whose `write` returns at once, even where the terminal is held (Ctrl-S) or nobody reads the pipe.

    A reader that went away or a full disk is nobody's problem either. A stream without a file behind it is written
    to directly.
    """

    def __init__(self, stream: TextIO, *, most: int = MOST) -> None:
        self._stream = stream
        self._most = most
        self._descriptor = _descriptor_of(stream)
        self._change = threading.Condition()
        self._pending: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._gone = False
        self._closing = False
        self._carrying = False
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self._errors = getattr(stream, "errors", None) or "backslashreplace"

    @property
    def busy(self) -> bool:
        """Whether something that was written has not left yet."""
        return self._size > 0

    def isatty(self) -> bool:
        """Whether a terminal is behind it."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The stream's own."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Take the text; it leaves when the stream lets it."""
        if self._descriptor is None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(text)
        else:
            self._take(text.encode(self.encoding, self._errors))
        return len(text)

    def flush(self) -> None:
        """Nothing stays behind for the want of it."""
        if self._descriptor is None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()

    def close(self, patience: float = PATIENCE) -> None:
        """Wait until everything has left, or nothing was taken for so many seconds.

        The stream stays open, and what is written later leaves after another `close`.
        """
        with self._change:
            self._closing = True
            self._change.notify_all()
            size, since = self._size, time.monotonic()
            while self._size and time.monotonic() - since < patience:
                self._change.wait(patience)
                if self._size < size:
                    size, since = self._size, time.monotonic()

    # -- the thread

    def _take(self, data: bytes) -> None:
        with self._change:
            if self._gone:
                return
            if self._size + len(data) > self._most:
                self._lost += 1
                return
            if self._lost:
                data = f"{self._lost:,} pieces of this log are lost, because nobody took them\n".encode() + data
                self._lost = 0
            self._pending.append(data)
            self._size += len(data)
            self._closing = False
            if not self._carrying:
                self._carrying = True
                threading.Thread(target=self._carry, name="outlet", daemon=True).start()
            self._change.notify_all()

    def _carry(self) -> None:
        while (data := self._next()) is not None:
            for start in range(0, len(data), _PIECE):
                piece = data[start : start + _PIECE]
                self._left(piece, whole=_write(self._descriptor or 0, piece))

    def _next(self) -> bytes | None:
        """What is to be written next; None where the thread may go."""
        with self._change:
            while not self._pending and not self._closing and not self._gone:
                self._change.wait()
            self._carrying = bool(self._pending)
            return self._pending.popleft() if self._pending else None

    def _left(self, piece: bytes, *, whole: bool) -> None:
        with self._change:
            self._size = max(0, self._size - len(piece))
            if not whole:
                self._gone, self._size = True, 0
                self._pending.clear()
            self._change.notify_all()


def _descriptor_of(stream: TextIO) -> int | None:
    try:
        stream.flush()
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def _write(descriptor: int, piece: bytes) -> bool:
    """Whether all of it has left; False where nobody is there to take it."""
    while piece:
        try:
            piece = piece[os.write(descriptor, piece) :]
        except BlockingIOError:  # somebody made the terminal non-blocking
            select.select([], [descriptor], [])
        except OSError:
            return False
    return True

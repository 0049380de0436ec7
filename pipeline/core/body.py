"""The body of a submit: bytes in pieces, so that many bodies can share the text of one picture."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


def _nothing_held() -> None:
    """What a body does at its end that shares nothing."""


@dataclass(slots=True)
class Body:
    """What a submit sends, to be used as a context manager: at its end it lets go of the pictures that it shares."""

    pieces: tuple[bytes, ...] = field(repr=False)
    """In the order in which they are sent."""
    sha256: str
    """Hex, of exactly the bytes that are sent."""
    let_go: Callable[[], None] = field(default=_nothing_held, repr=False, compare=False)
    sent: bool = field(default=False, init=False, compare=False)
    """Whether any of it may have left: until then nobody can have made a task of it."""

    @classmethod
    def of(cls, *pieces: bytes) -> Self:
        """A body that shares nothing; its pieces are hashed here and now."""
        return cls(pieces, sha256_of(pieces))

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.pieces))

    def whole(self) -> bytes:
        """All of it in one piece."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.let_go()


def sha256_of(pieces: Iterable[bytes]) -> str:
    """Hex SHA-256 of pieces in their order."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()

"""SHA-256, loaded when it is first wanted: OpenSSL comes with it, and rows that have ids are checked without."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash


def sha256(data: bytes = b"") -> "_Hash":
    """As `hashlib.sha256`."""
    return loaded()(data)


@cache
def loaded() -> "Callable[[bytes], _Hash]":
    """The function itself, for whoever calls it again and again."""
    from hashlib import sha256

    return sha256

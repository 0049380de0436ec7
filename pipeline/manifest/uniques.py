"""Finds keys that occur twice among very many, at eight bytes a key."""

import hashlib
from array import array
from itertools import pairwise

MOST_HITS = 10_000
"""Keys that are looked at a second time; a file with more is beyond a list of its faults."""


def mark(key: str) -> int:
    """64 bits that stand for the key; two keys share them once in many billions, so a hit is looked at again."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


class Uniques:
    """Remembers the marks of keys in buckets small enough to be sorted one by one."""

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(256)]

    def add(self, key: str) -> None:
        """Remember the key."""
        number = mark(key)
        self._buckets[number & 255].append(number)

    def repeated(self) -> frozenset[int]:
        """The marks that were added more than once, up to `MOST_HITS` of them."""
        found: set[int] = set()
        for bucket in self._buckets:
            ordered = sorted(bucket)
            found.update(one for one, other in pairwise(ordered) if one == other)
            if len(found) >= MOST_HITS:
                break
        return frozenset(list(found)[:MOST_HITS])

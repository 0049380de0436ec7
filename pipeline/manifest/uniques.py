"""Finds names that occur twice among very many, at eight bytes a name."""

from array import array
from collections.abc import Iterable

from pipeline.core.files import fold

MOST_HITS = 10_000
"""Keys that are looked at a second time; a file with more is beyond a list of its faults."""
_BUCKETS = 256
"""Enough that a set made of one bucket is small beside the whole: sixteen thousand keys of four million."""


def mark(key: str) -> int:
    """64 bits that stand for the key in this process; two keys hardly ever share them, so a hit is looked at again."""
    return hash(key)


def name_of(text: str) -> str:
    """What an id and the output that is named after it have in common, and outputs that some file systems confuse.

    Different ids and outputs may have it in common, too: equal names are a reason to look at the rows again.
    """
    return fold(text).removesuffix(".mp4")


def names_of(texts: Iterable[str | None]) -> Iterable[str]:
    """The names of many ids."""
    known = list(filter(None, texts))
    joined = "\n".join(known)
    if joined.isascii() and ".mp4" not in joined.lower():
        return joined.lower().split("\n") if known else ()
    return map(name_of, known)


class Uniques:
    """Remembers the marks of keys in buckets small enough to be made a set one by one."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]
        self._appends = [bucket.append for bucket in self._buckets]

    def update(self, keys: Iterable[str]) -> None:
        """Remember the keys."""
        appends = self._appends
        for number in map(hash, keys):
            appends[number % _BUCKETS](number)

    def repeated(self) -> frozenset[int]:
        """The marks that were added more than once, up to `MOST_HITS` of them."""
        found: set[int] = set()
        for bucket in self._buckets:
            if len(set(bucket)) < len(bucket):
                found.update(_twice(bucket))
            if len(found) >= MOST_HITS:
                break
        return frozenset(list(found)[:MOST_HITS])


def _twice(numbers: Iterable[int]) -> set[int]:
    seen: set[int] = set()
    return {number for number in numbers if number in seen or seen.add(number)}  # type: ignore[func-returns-value]  # `add` gives None: seen for the first time

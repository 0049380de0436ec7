"""The video store: brings one result URL to one whole file.

store.py      the story of a fetch, and `verify`
transport.py  one GET, redirects followed by hand, foreign errors translated
refusals.py   what an answer that is no file means (pure)
addresses.py  which URLs we open, and how they go out verbatim (pure)
dates.py      the dates that hosts send (pure)
ranges.py     when to resume, and whether an answer may be joined to what is here (pure)
kinds.py      known first bytes, and the MP4 box walk (pure)
part.py       the bytes on their way to the disk: one block gathered, one in flight
partfile.py   the blocking side: part, validator, publishing
places.py     where an output lies, and that it stays inside `videos/`
room.py       free space, without waiting for the disk
names.py      host names, looked up in threads of their own
threads.py    blocking work in threads of one's own, that a cancellation waits for
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as below, for type checkers: whoever wants threads alone does not wait for HTTP
    from pipeline.videos.partfile import Assurance
    from pipeline.videos.store import LocalVideoStore

__all__ = ["Assurance", "LocalVideoStore"]

_HOMES = {"Assurance": "pipeline.videos.partfile", "LocalVideoStore": "pipeline.videos.store"}


def __getattr__(name: str) -> Any:
    """Import a name of the store when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline.videos' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)

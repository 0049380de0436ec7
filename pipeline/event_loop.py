"""The event loop of a command that runs the engine: uvloop where the extra `[fast]` is installed, else Python's own.

A program that calls `pipeline.run` brings a loop of its own, which is left as it is.
"""

import asyncio
from collections.abc import Callable

TRUSTED = (0, 23)
"""The first version that may carry paid requests. In those before it, a connection that is given up while it is made
leaves a socket behind that later closes a stranger's connection, so that an answer is lost or meets the wrong request
(uvloop's issues 645 and 738)."""

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def loop_factory(wanted: str) -> LoopFactory | None:
    """Makes the loop that the setting `event_loop` wants; None stands for Python's own."""
    if wanted != "auto":
        return None
    try:
        import uvloop  # an extra, and three milliseconds that no small command has to spend

        return uvloop.new_event_loop if _trusted(getattr(uvloop, "__version__", "")) else None
    except Exception:  # noqa: BLE001 - whatever is wrong with it, a run goes on without it
        return None


def _trusted(version: str) -> bool:
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) >= TRUSTED

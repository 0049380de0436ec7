"""The command as a process, `python -m pipeline` too: no time goes to garbage that is none, and none to tidying up."""

import gc
import os
import sys
from collections.abc import Callable
from typing import NoReturn

_NEW_OBJECTS = 50_000
"""After so many the collector looks for garbage: more than a small command makes, less than would matter in a run."""


def main(leave: Callable[[int], NoReturn] = os._exit) -> None:
    """The command `pipeline`. A small command ends by `leave`."""
    gc.set_threshold(_NEW_OBJECTS)
    from pipeline.cli import main as command  # only now, because importing it makes most of those objects

    try:
        command()
    except SystemExit as end:
        if _nothing_is_left():  # to take the interpreter apart would be a twentieth of the whole
            leave(int(end.code or 0))
        raise
    finally:
        gc.freeze()  # at exit, looking through all modules for garbage would take as long as a small command


def _nothing_is_left() -> bool:
    """Whether the process may end here and now: all is written, there was no event loop, and nobody looks on."""
    if "asyncio" in sys.modules or sys.gettrace() or sys.getprofile():
        return False
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # Python says so at exit, as ever
        return False
    return True


if __name__ == "__main__":
    main()

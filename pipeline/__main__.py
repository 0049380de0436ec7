"""The command as a process, `python -m pipeline` too: no time goes to garbage that is none, and none to tidying up."""

import gc
import os
from collections.abc import Callable
from typing import NoReturn

_NEW_OBJECTS = 100_000
"""After so many the collector looks for garbage: more than a run makes until it submits, and no matter to it later."""


def main(leave: Callable[[int], NoReturn] = os._exit) -> None:
    """The command `pipeline`. A small command ends by `leave`."""
    gc.set_threshold(_NEW_OBJECTS)
    from pipeline.cli import has_said_everything
    from pipeline.cli import main as command  # only now, because importing it makes most of those objects

    try:
        command()
    except SystemExit as end:
        if has_said_everything():  # to take the interpreter apart would be a twentieth of the whole
            leave(int(end.code or 0))
        raise
    finally:
        gc.freeze()  # at exit, looking through all modules for garbage would take as long as a small command


if __name__ == "__main__":
    main()

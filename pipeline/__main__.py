"""The command as a process, `python -m pipeline` too: the collector of garbage stands back from what is no garbage."""

import gc

_NEW_OBJECTS = 50_000
"""After so many the collector looks for garbage: more than a small command makes, less than would matter in a run."""


def main() -> None:
    """The command `pipeline`."""
    gc.set_threshold(_NEW_OBJECTS)
    from pipeline.cli import main as command  # only now, because importing it makes most of those objects

    try:
        command()
    finally:
        gc.freeze()  # at exit, looking through all modules for garbage would take as long as a small command


if __name__ == "__main__":
    main()

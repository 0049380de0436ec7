"""What was typed, and the only words to a screen."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pipeline.core.errors import FolderError, ManifestError, PipelineError
from pipeline.views.text import many, printable, shell_word

if TYPE_CHECKING:
    from pathlib import Path


class Shell:
    """What was typed."""

    def __init__(self, arguments: tuple[str, ...] = ()) -> None:
        self.arguments = arguments
        self.verbose = False


def say(text: str) -> None:
    """To a person, beside the data; whatever the text quotes, it does not steer the terminal."""
    try:
        print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)
    except OSError:  # nobody is there to be told, and what is left in the buffer must not complain at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def print_all(lines: Iterable[str]) -> None:
    """To standard output, where a pipe may read it."""
    with output():
        for line in lines:
            print(line)


def print_file(path: "Path") -> None:
    """The whole lines of a file that another process may be appending to."""
    if path.is_symlink() or not path.is_file():
        raise FolderError(f"{path} is no file of a run; write it anew with --rebuild")
    with path.open("rb") as file, output():
        for line in file:
            if line.endswith(b"\n"):
                sys.stdout.buffer.write(line)


@contextlib.contextmanager
def output() -> Iterator[None]:
    """Everything is written when this ends, or nobody reads it any more: that ends the words, and not the command.

    Raises `FolderError` where it cannot be written.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer is flushed at exit, and must not complain a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return
        raise FolderError(f"standard output cannot be written: {error.strerror}") from error


def program() -> str:
    """The command as it was called, short where the shell finds it by its short name."""
    import shutil
    from pathlib import Path

    called = sys.argv[0]
    if Path(called).name == "__main__.py":
        return "python -m pipeline"
    found = shutil.which(Path(called).name)
    return Path(called).name if found and Path(found).resolve() == Path(called).resolve() else shell_word(called)


def complaint(error: PipelineError) -> str:
    """All problems of a manifest with a closing count, or the one sentence."""
    if isinstance(error, ManifestError):
        return f"{error.message}\npipeline: {many(error.total, 'problem')} in the manifest; nothing was submitted"
    return f"pipeline: {error.message}"

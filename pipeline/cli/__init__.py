"""The command line: an argument becomes a call, an answer becomes an exit code. Nothing else of the package prints.

What a command needs is imported inside it, so that help, `validate` and `status` start at once; a command that only
looks, and is called with nothing but what it looks at, does without the parser of command lines as well.
"""

import io
import os
import sys

from pipeline.cli.words import Shell, complaint, say
from pipeline.core.errors import PipelineError
from pipeline.views.text import printable

INTERRUPTED = 3
BUG = 70

_PLAIN = frozenset({"validate", "plan", "status"})


def main() -> None:
    """The command `pipeline`."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a narrow locale must not end a run
    os.umask(os.umask(0o022) | 0o002)  # nothing of ours may be written by everybody, however lax the shell is
    shell = Shell(tuple(sys.argv[1:]))
    try:
        code = _answer(shell)
    except BrokenPipeError:
        code = 0  # whoever read our output had enough
    except KeyboardInterrupt:
        say("pipeline: interrupted")
        code = INTERRUPTED
    except PipelineError as error:
        say(complaint(error))
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - the last resort: whatever else comes here is a bug, and says so
        say(_bug(error, shell.verbose))
        code = BUG
    sys.exit(code)


def _answer(shell: Shell) -> int:
    """Carry out what was typed. Returns the exit code."""
    match shell.arguments:
        case (command, argument) if command in _PLAIN and not argument.startswith("-"):
            from pipeline.cli import small

            return small.answer(command, argument)
    from pipeline.cli import grammar

    return grammar.answer(shell)


def has_said_everything() -> bool:
    """Whether the process may end here and now: all is written, there was no event loop, and nobody looks on."""
    if "asyncio" in sys.modules or sys.gettrace() or sys.getprofile():
        return False
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # Python says so at exit, as ever
        return False
    return True


def _open_closed_streams() -> None:
    """Put the null device in the place of a standard stream that was closed (`2>&-`).

    Nobody wants what goes there, and without it the next file that is opened, the ledger perhaps, would get its number.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - as Python's own


def _bug(error: Exception, verbose: bool) -> str:
    if verbose:
        import traceback

        return "".join(traceback.format_exception(error)).rstrip()
    return f"pipeline: a bug: {type(error).__name__}: {printable(str(error))}; run again with -v for the whole story"

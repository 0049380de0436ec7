"""The command line: an argument becomes a call, an answer becomes an exit code. Nothing else of the package prints.

Each command has a module of its own, which is imported when it is called; what it needs is imported inside it, so that
help, `validate` and `status` start at once.
"""

import io
import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module

import click

from pipeline import __version__
from pipeline.cli.shell import Shell, complaint, say
from pipeline.core.errors import PipelineError
from pipeline.views.text import printable

INTERRUPTED = 3
BUG = 70

_COMMANDS = {
    "run": "Turn a manifest into videos.",
    "collect": "Collect what is paid for, without the manifest.",
    "validate": "Check a manifest and report every problem.",
    "plan": "Tell what a run would do and what it would cost.",
    "status": "Tell where a batch stands.",
    "results": "Print the results lines of a batch.",
    "resolve": "Decide about a submit with an unknown outcome.",
    "verify": "Compare every video with its record.",
    "report": "Write the report of a batch.",
    "watch": "Serve the report of a batch live on this machine.",
    "models": "Show what the models accept and cost.",
    "schema": "Print the JSON Schema of a manifest.",
    "emulator": "Rehearse the service on this machine.",
}
"""In the order in which a batch meets them; each is `command` in the module of its name."""


class _Lazily(Mapping[str, click.Command]):
    """The commands by name, imported one by one."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in _COMMANDS:
            raise KeyError(name)
        made: click.Command = import_module(f"pipeline.cli.{name}").command
        made.short_help = _COMMANDS[name]
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class Commands(click.Group):
    """Lists its commands in their own order, and without importing them."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=Commands, commands=_Lazily(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="pipeline %(version)s")
def cli() -> None:
    """A manifest of video jobs in, finished videos and a results file out: paid for once, lost never.

    \b
    Try it without paying:
      pipeline run configs/demo.yaml --rehearse
    """


def main() -> None:
    """The command `pipeline`."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a narrow locale must not end a run
    os.umask(os.umask(0o022) | 0o002)  # nothing of ours may be written by everybody, however lax the shell is
    shell = Shell(tuple(sys.argv[1:]))
    try:
        code = cli.main(list(shell.arguments), prog_name="pipeline", standalone_mode=False, obj=shell)
    except BrokenPipeError:
        code = 0  # whoever read our output had enough
    except (click.Abort, KeyboardInterrupt):
        say("pipeline: interrupted")
        code = INTERRUPTED
    except click.ClickException as error:
        say(_usage(error))
        code = error.exit_code
    except PipelineError as error:
        say(complaint(error))
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - the last resort: whatever else comes here is a bug, and says so
        say(_bug(error, shell.verbose))
        code = BUG
    sys.exit(code or 0)


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


def _usage(error: click.ClickException) -> str:
    """What click shows of a mistake in the arguments."""
    shown = io.StringIO()
    error.show(shown)
    return shown.getvalue().rstrip("\n")


def _bug(error: Exception, verbose: bool) -> str:
    if verbose:
        import traceback

        return "".join(traceback.format_exception(error)).rstrip()
    return f"pipeline: a bug: {type(error).__name__}: {printable(str(error))}; run again with -v for the whole story"

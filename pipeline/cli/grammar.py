"""The grammar of the command line. Each command has a module of its own, which is imported when it is called."""

import io
from collections.abc import Iterator, Mapping
from importlib import import_module

import click

from pipeline import __version__
from pipeline.cli.words import Shell, say

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


def answer(shell: Shell) -> int:
    """Carry out what was typed. Returns the exit code; `KeyboardInterrupt` where a question was broken off."""
    try:
        return cli.main(list(shell.arguments), prog_name="pipeline", standalone_mode=False, obj=shell) or 0
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        say(_usage(error))
        return error.exit_code


def _usage(error: click.ClickException) -> str:
    """What click shows of a mistake in the arguments."""
    shown = io.StringIO()
    error.show(shown)
    return shown.getvalue().rstrip("\n")

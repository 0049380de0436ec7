"""What `run` and `collect` share: how a run begins, and what is said at its end."""

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.shell import PATH, Shell, complaint, print_all, program, say
from pipeline.core.errors import FolderError, PipelineError
from pipeline.views.text import many

if TYPE_CHECKING:
    from pipeline.foreground import Order
    from pipeline.views.summary import Commands, Ending

_CAPS = ("--budget", "--max-jobs", "--max-seconds")
_BUYING_AGAIN = ("--retry-failed", "--resubmit-unknown")
_OWN_COMMANDS = ("--on-job", "--on-finish")

api_key_option = click.option(
    "--api-key-file", type=PATH, metavar="FILE", help="File with the API key, else MODELVERSE_API_KEY."
)
quiet_option = click.option(
    "-q", "--quiet", is_flag=True, help="Failures and stops on stderr, the last line on stdout, no more."
)


def import_client_beside() -> None:
    """Import the HTTP client in a thread, and return when it has come to where OpenSSL reads all certificates.

    From there on lighter work goes on at the same time; before, two threads would only share the interpreter's lock,
    and the certificates would come last. The thread is waited for at exit, because OpenSSL must not be torn down while
    it reads them.
    """
    from importlib import import_module
    from threading import Thread

    thread = Thread(target=import_module, args=("pipeline.modelverse.client",), name="import")
    thread.start()
    while thread.is_alive() and "aiohttp.connector" not in sys.modules:
        thread.join(0.001)


def tell_end(ending: "Ending", commands: "Commands", *, quiet: bool) -> int:
    """The summary of a run, and its exit code: that is the run's, whoever reads the summary."""
    from pipeline.views.summary import spoken_lines

    try:
        print_all(spoken_lines(ending, commands, quiet=quiet, terminal=sys.stdout.isatty()))
    except BrokenPipeError:
        pass
    except FolderError as error:
        say(complaint(error))
    return ending.exit_code


def say_what_waits(order: "Order") -> None:
    """A manifest with a mistake in it keeps nobody from what is paid for."""
    from pipeline.core.jobs import JobState
    from pipeline.folder import default_folder, run_folder
    from pipeline.ledger import LedgerReader

    stem = "stdin" if order.manifest == "-" else Path(order.manifest or "").stem
    folder = run_folder(order.output or default_folder(stem), rehearse=order.rehearse)
    with contextlib.suppress(PipelineError), LedgerReader(folder) as reader:
        counts = reader.counts()
        waiting = counts[JobState.RUNNING] + counts[JobState.FETCHING] + counts[JobState.SUBMITTING]
        if waiting:
            command = f"{program()} collect {shlex.quote(str(folder))}"
            say(f"pipeline: {many(waiting, 'paid task')} of {folder} can be collected all the same: {command}")


def to_type_next(shell: Shell, order: "Order", folder: str) -> "Commands":
    """What a run's summary may offer."""
    from pipeline.views.summary import Commands

    if order.manifest is None:
        again = f"run MANIFEST -o {shlex.quote(folder)}{' --rehearse' if order.rehearse else ''}"
        return Commands(program(), again, shlex.quote(folder))

    places = (("-o", order.output), ("-c", order.config))
    plan = ["plan", order.manifest, *(word for flag, path in places if path is not None for word in (flag, str(path)))]
    unselected = _same_run(shell, "--select") if "select" in order.flags else ""
    uncapped = _same_run(shell, *_CAPS)
    return Commands(program(), _same_run(shell), shlex.quote(folder), shlex.join(plan), unselected, uncapped)


def _same_run(shell: Shell, *without: str) -> str:
    """The command as it was typed, without what would buy again what has ended meanwhile, and without some options."""
    kept = [argument for argument in shell.arguments if argument not in _BUYING_AGAIN]
    for option in without:
        kept = [argument for argument in kept if not argument.startswith(f"{option}=")]
        if option in kept:
            place = kept.index(option)
            del kept[place : place + 2]
    return shlex.join(kept)


def same_run_elsewhere(shell: Shell) -> str:
    """The same run for somebody who is told of it: from any folder, without hooks, whose commands may hold secrets."""
    kept: list[str] = []
    is_value = False
    for argument in shell.arguments:
        name, is_joined, _ = argument.partition("=")
        if is_value:
            kept.append("…")
        elif argument not in _BUYING_AGAIN:
            kept.append(f"{name}=…" if is_joined and name in _OWN_COMMANDS else argument)
        is_value = argument in _OWN_COMMANDS
    return f"cd {shlex.quote(str(Path.cwd()))} && {program()} {shlex.join(kept)}"

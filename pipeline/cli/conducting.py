"""What `run` and `collect` share: how a run begins, and what is said at its end."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.shell import PATH
from pipeline.cli.words import complaint, print_all, program, say
from pipeline.core.errors import FolderError, PipelineError
from pipeline.views.text import many, shell_word, shell_words

if TYPE_CHECKING:
    from pipeline.foreground import Order
    from pipeline.views.next_step import Commands
    from pipeline.views.summary import Ending

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
    from pipeline.foreground import undisturbed
    from pipeline.views.summary import spoken_lines

    try:
        with undisturbed():
            print_all(spoken_lines(ending, commands, quiet=quiet, terminal=sys.stdout.isatty()))
    except FolderError as error:
        say(complaint(error))
    return ending.exit_code


def say_what_waits(order: "Order") -> None:
    """A manifest with a mistake in it keeps nobody from what is paid for."""
    from pipeline.core.jobs import JobState
    from pipeline.folder import default_folder, run_folder
    from pipeline.ledger import LedgerReader

    stem = "stdin" if order.manifest == "-" else Path(order.manifest or "").stem
    with contextlib.suppress(PipelineError):  # there is no batch, or it has its own complaint, which was said
        folder = run_folder(order.output or default_folder(stem), rehearse=order.rehearse)
        with LedgerReader(folder) as reader:
            counts = reader.counts()
        waiting = counts[JobState.RUNNING] + counts[JobState.FETCHING] + counts[JobState.SUBMITTING]
        if waiting:
            command = f"{program()} collect {shell_word(str(folder))}"
            say(f"pipeline: {many(waiting, 'paid task')} of {folder} can be collected all the same: {command}")


# -- what to type next -------------------------------------------------------------------------------------------------


def commands_of_run(
    typed: Sequence[str], *, manifest: str, output: Path | None, config: Path | None, rehearse: bool
) -> "Commands":
    """What may follow a run that was typed so, without what would buy again what has ended meanwhile."""
    from pipeline.views.next_step import Commands

    kept = [word for word in typed if word not in _BUYING_AGAIN]
    places = (("-o", output), ("-c", config))
    collecting = _only(kept, "-c", "--config", "--api-key-file")
    plan = ["plan", manifest, *(word for flag, path in places if path is not None for word in (flag, str(path)))]
    unselected = _without(kept, "--select")
    return Commands(
        program(),
        shell_words(kept),
        "",
        plan=shell_words(plan) if rehearse else "",
        unselected=shell_words(unselected) if unselected != kept else "",
        uncapped=shell_words(_without(kept, *_CAPS)),
        collecting=f" {shell_words(collecting)}" if collecting else "",
        left_out="manifest on standard input" if manifest == "-" else "",
    )


def commands_of_collect(typed: Sequence[str], *, folder: Path, config: Path | None) -> "Commands":
    """What may follow when what is paid for was collected: the same again, and a run of the manifest for the rest."""
    from pipeline.folder import is_rehearsal
    from pipeline.views.next_step import Commands

    run = ["run", _manifest_of(folder), "-o", str(folder), *(() if config is None else ("-c", str(config)))]
    rehearse = ["--rehearse"] if is_rehearsal(folder) else []
    collect, left_out = shell_words(typed), "caps and other options of the run"
    return Commands(program(), shell_words([*run, *rehearse]), "", collect=collect, left_out=left_out)


def elsewhere(typed: Sequence[str], make: "Callable[[Sequence[str]], Commands]") -> "Commands":
    """The same for somebody who is told of it: from any folder, without hooks, whose commands may hold secrets."""
    from dataclasses import replace

    named = [name for name in _OWN_COMMANDS if any(word.partition("=")[0] == name for word in typed)]
    commands = make(_without(typed, *_OWN_COMMANDS))
    left_out = " and ".join(filter(None, [commands.left_out, *named]))
    return replace(commands, program=f"cd {shell_word(str(Path.cwd()))} && {program()}", left_out=left_out)


def _manifest_of(folder: Path) -> str:
    """The manifest that the jobs of the folder came from, those that wait before others."""
    from pipeline.core.jobs import JobState
    from pipeline.ledger import LedgerReader

    with contextlib.suppress(PipelineError), LedgerReader(folder) as reader:
        for state in JobState:
            for record in reader.records(state, limit=1):
                return manifest_here(record.job.source.file) or "MANIFEST"
    return "MANIFEST"


def manifest_here(file: str) -> str | None:
    """The manifest that a job came from, as a command names it; None where its name leads nowhere from here.

    The ledger has the name as it was typed, in whatever folder that was.
    """
    if file == "stdin":
        return "-"
    return file if Path(file).is_file() else None


def _only(typed: Sequence[str], *options: str) -> list[str]:
    """Of what was typed, these options and their values."""
    kept: list[str] = []
    words = iter(typed)
    for word in words:
        if word in options:
            kept += [word, *islice(words, 1)]
        elif word.partition("=")[0] in options:
            kept.append(word)
    return kept


def _without(typed: Sequence[str], *options: str) -> list[str]:
    """What was typed, without some options and their values."""
    kept: list[str] = []
    words = iter(typed)
    for word in words:
        if word in options:
            next(words, None)
        elif word.partition("=")[0] not in options:
            kept.append(word)
    return kept

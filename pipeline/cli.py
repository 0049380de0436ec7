"""The command line: an argument becomes a call, an answer becomes an exit code. Nothing else of the package prints.

Heavy libraries are imported inside the commands that need them, so that help, `validate` and `status` start at once.
"""

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline import __version__
from pipeline.core.errors import FolderError, ManifestError, PipelineError, SettingsError, UsageError
from pipeline.views.text import many, printable

if TYPE_CHECKING:
    from pipeline.foreground import Order
    from pipeline.settings import Layer
    from pipeline.views.summary import Commands, Ending

INTERRUPTED = 3
BUG = 70
_CAPS = ("--budget", "--max-jobs", "--max-seconds")
_BUYING_AGAIN = ("--retry-failed", "--resubmit-unknown")
_OWN_COMMANDS = ("--on-job", "--on-finish")

Command = TypeVar("Command", bound=Callable[..., Any])


class Shell:
    """What was typed."""

    def __init__(self, arguments: tuple[str, ...] = ()) -> None:
        self.arguments = arguments
        self.verbose = False


# -- options -----------------------------------------------------------------------------------------------------------

_PATH = click.Path(path_type=Path)
_PORT = click.IntRange(0, 65_535)


def _remember_verbose(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    context.ensure_object(Shell).verbose = value


verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_remember_verbose,
    help="Say everything; print the traceback of a bug.",
)

catalog_option = click.option(
    "--catalog", metavar="FILE", help="Your own models and prices (YAML), on top of the catalog's."
)


def _number_or_word(value: str) -> int | str:
    """A number where it is one; what a word means, the setting says."""
    try:
        return int(value)
    except ValueError:
        return value


_SETTINGS = (
    click.option(
        "--concurrency",
        type=_number_or_word,
        metavar="N|auto",
        help="Remote tasks at the same time (slots); auto finds their number.",
    ),
    click.option(
        "--order",
        type=click.Choice(["auto", "manifest", "longest-first"]),
        help="Which jobs go first; auto: the longest class, in a batch that is small against the slots.",
    ),
    click.option("--pollers", type=int, metavar="N", help="Status questions at the same time."),
    click.option("--downloads", type=int, metavar="N", help="Downloads at the same time."),
    click.option("--max-runtime", metavar="TIME", help="Stop after this long, such as 90m or 5h; run again to go on."),
    click.option("--limit", type=int, metavar="N", help="Submit at most N jobs in this run."),
    click.option("--select", metavar="GLOB", help="Submit only jobs whose id matches, such as 'wave-*'."),
    click.option("--budget", metavar="AMOUNT", help="Money that this folder may cost in all, in the worst case."),
    click.option("--max-jobs", type=int, metavar="N", help="Paid tasks of this folder in all."),
    click.option("--max-seconds", metavar="TIME", help="Seconds of video of this folder in all."),
    click.option(
        "--allow-unpriced",
        is_flag=True,
        default=None,
        help="Under --budget or --max-seconds, buy also what has no known price or length.",
    ),
    click.option("--retry-failed", is_flag=True, default=None, help="Buy another attempt for jobs that failed."),
    click.option(
        "--resubmit-unknown",
        is_flag=True,
        default=None,
        help="Buy another attempt for jobs with an unknown outcome; some may be paid twice.",
    ),
    click.option(
        "--on-changed",
        type=click.Choice(["error", "keep", "rerun"]),
        help="Rows that changed since they were enrolled: refuse the manifest, keep the old job, or buy it anew.",
    ),
    catalog_option,
    click.option(
        "--allow-unknown-fields", is_flag=True, default=None, help="Send fields that the catalog does not know."
    ),
    click.option("--endpoint", metavar="URL", help="Base URL of the service."),
    click.option(
        "--progress",
        type=click.Choice(["auto", "rich", "plain", "none"]),
        help="auto: rich on a terminal, else plain; beside a JSON log, none.",
    ),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="json: one object a line on stderr."),
)


def settings_options(command: Command) -> Command:
    """The settings that have a flag; one that is not given leaves the word to the other places."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


_BESIDE = (
    click.option(
        "--report/--no-report", default=None, help="Write report.html at the end (yes, where the run did something)."
    ),
    click.option("--sidecar", is_flag=True, default=None, help="Write a JSON file beside each video."),
    click.option("--metrics-file", metavar="FILE", help="Keep Prometheus metrics of the run in FILE."),
    click.option("--on-job", metavar="COMMAND", help="Run a shell command for every job that ends."),
    click.option("--on-finish", metavar="COMMAND", help="Run a shell command at the end of the run."),
    click.option("--wait-lock", metavar="TIME", help="Wait so long for another run that holds the folder."),
)
"""What a run does beside its videos."""


def run_options(command: Command) -> Command:
    """The settings' flags that only a run has."""
    for option in reversed(_BESIDE):
        command = option(command)
    return command


# -- commands ----------------------------------------------------------------------------------------------------------


class InOrder(click.Group):
    """Lists its commands in the order in which a batch meets them, which is the order of this file."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="pipeline %(version)s")
def cli() -> None:
    """A manifest of video jobs in, finished videos and a results file out: paid for once, lost never.

    \b
    Try it without paying:
      pipeline run configs/demo.yaml --rehearse
    """


@cli.command(short_help="Turn a manifest into videos.")
@click.argument("manifest")
@click.option("-o", "--output", type=_PATH, metavar="DIR", help="Output folder; outputs/<manifest name> by default.")
@click.option("-c", "--config", type=_PATH, metavar="FILE", help="Settings file (YAML).")
@settings_options
@run_options
@click.option("--rehearse", is_flag=True, help="Run against the built-in emulator, into <folder>-rehearsal; free.")
@click.option("--speed", type=float, metavar="X", help="With --rehearse: how many times faster than life (20).")
@click.option("--scenario", type=_PATH, metavar="FILE", help="With --rehearse: the trouble to rehearse (YAML).")
@click.option("--api-key-file", type=_PATH, metavar="FILE", help="File with the API key, else MODELVERSE_API_KEY.")
@click.option("-q", "--quiet", is_flag=True, help="Failures and stops on stderr, the last line on stdout, no more.")
@verbose_option
@click.pass_obj
def run(
    shell: Shell,
    /,
    manifest: str,
    output: Path | None,
    config: Path | None,
    rehearse: bool,
    speed: float | None,
    scenario: Path | None,
    api_key_file: Path | None,
    quiet: bool,
    **flags: Any,
) -> int:
    """Turn MANIFEST (.yaml, .csv, .jsonl, or - for standard input) into videos.

    The whole manifest is checked before anything is submitted. The same command again goes on where it ended.
    The summary goes to stdout, its last line is stable; progress and log go to stderr.

    \b
    Examples:
      pipeline run shots.yaml
      pipeline run shots.csv -o outputs/night --concurrency 20 --max-runtime 5h
      pipeline run shots.yaml --rehearse --speed 60
      pipeline run shots.yaml --retry-failed --select 'wave-*'
    """
    _import_client_beside()
    from pipeline.foreground import Order, conduct

    if not rehearse and (speed is not None or scenario is not None):
        raise click.UsageError("--speed and --scenario belong to --rehearse")
    order = Order(
        manifest=manifest,
        output=output,
        config=config,
        flags={name: value for name, value in flags.items() if value is not None},
        rehearse=rehearse,
        speed=speed,
        scenario=scenario,
        api_key_file=api_key_file,
        quiet=quiet,
        verbose=shell.verbose,
        again=_same_run_elsewhere(shell),
    )
    try:
        ending = conduct(order, sys.stderr)
    except UsageError as error:
        _say(_complaint(error))
        if not isinstance(error, SettingsError):  # which would keep us from collecting as well
            _say_what_waits(order)
        return error.exit_code
    return _tell_end(ending, _to_type_next(shell, order, ending.folder), quiet=quiet)


@cli.command(short_help="Collect what is paid for, without the manifest.")
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("-c", "--config", type=_PATH, metavar="FILE", help="Settings file (YAML).")
@click.option("--api-key-file", type=_PATH, metavar="FILE", help="File with the API key, else MODELVERSE_API_KEY.")
@click.option("-q", "--quiet", is_flag=True, help="Failures and stops on stderr, the last line on stdout, no more.")
@verbose_option
@click.pass_obj
def collect(shell: Shell, /, folder: Path, config: Path | None, api_key_file: Path | None, quiet: bool) -> int:
    """Collect the tasks of DIR that are paid for: ask how they stand and fetch their videos. Nothing is submitted.

    A run does that by itself, before anything else; this is for a manifest that is broken, or no longer there.

    \b
    Example:
      pipeline collect outputs/shots
    """
    _import_client_beside()
    from pipeline.folder import is_rehearsal
    from pipeline.foreground import Order, conduct

    order = Order(
        manifest=None,
        output=folder,
        config=config,
        flags={"limit": 0},
        rehearse=is_rehearsal(folder),
        speed=None,
        scenario=None,
        api_key_file=api_key_file,
        quiet=quiet,
        verbose=shell.verbose,
        again=_same_run_elsewhere(shell),
    )
    ending = conduct(order, sys.stderr)
    return _tell_end(ending, _to_type_next(shell, order, ending.folder), quiet=quiet)


@cli.command(short_help="Check a manifest and report every problem.")
@click.argument("manifest")
@click.option("-c", "--config", type=_PATH, metavar="FILE", help="Settings file (YAML).")
@catalog_option
@verbose_option
def validate(manifest: str, config: Path | None, catalog: str | None) -> None:
    """Check MANIFEST whole and report every problem with file, line and mend. Nothing else happens.

    \b
    Examples:
      pipeline validate shots.csv
      generate-shots | pipeline validate -
    """
    from pipeline.manifest import open_manifest

    with open_manifest(manifest) as opened:
        opened.judge_by({"catalog": catalog} if catalog else {}, _config_layer(config))
        checked = opened.check()
    for warning in checked.warnings:
        _say(f"warning: {warning}")
    _print_all([f"{opened.file}: {many(checked.jobs, 'job')}, no problem"])


@cli.command(short_help="Tell what a run would do and what it would cost.")
@click.argument("manifest")
@click.option("-o", "--output", type=_PATH, metavar="DIR", help="Output folder; outputs/<manifest name> by default.")
@click.option("-c", "--config", type=_PATH, metavar="FILE", help="Settings file (YAML).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@settings_options
@verbose_option
def plan(manifest: str, output: Path | None, config: Path | None, as_json: bool, **flags: Any) -> int:
    """Tell what `pipeline run MANIFEST` with the same options would do: which rows it would buy, at what price, in
    which time. Needs no key and no network, and changes nothing. Exit 2 where the run would refuse to begin.

    \b
    Examples:
      pipeline plan shots.yaml
      pipeline plan shots.yaml --budget 200 --retry-failed
      pipeline plan shots.csv --json | jq .to_submit.totals
    """
    from pipeline.folder import default_folder, paid_folder
    from pipeline.manifest import open_manifest
    from pipeline.plan import plan as made_of
    from pipeline.settings import settings_for
    from pipeline.views.plan import plan_json, plan_lines

    given = {name: value for name, value in flags.items() if value is not None}
    layer = _config_layer(config)
    with open_manifest(manifest) as opened:
        opened.judge_by(given, layer)
        warnings = [str(warning) for warning in opened.check().warnings]
        settings = settings_for(opened.run, opened.file, given, layer)
        found = made_of(opened, paid_folder(output or default_folder(opened.name)), settings, warnings)
    for warning in [] if as_json else warnings:
        _say(f"warning: {warning}")
    _print_all([plan_json(found)] if as_json else plan_lines(found))
    return 2 if found.refused else 0


@cli.command(short_help="Tell where a batch stands.")
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@verbose_option
def status(folder: Path, as_json: bool) -> None:
    """Tell where the batch in DIR stands, also while a run holds it.

    \b
    Examples:
      pipeline status outputs/shots
      pipeline status outputs/shots --json | jq .remaining
    """
    from pipeline.folder import holder, is_rehearsal
    from pipeline.ledger import PRICES_KEY, Overview
    from pipeline.views.status import BatchStatus, status_json, status_lines

    with Overview(folder) as reader:
        found = BatchStatus(
            str(folder),
            reader.counts(),
            reader.runs(),
            reader.failures(),
            tuple(reader.unknown()),
            reader.spending(),
            reader.recall(PRICES_KEY),
            is_rehearsal(folder),
            holder(folder),
        )
    resolve = f"{_program()} resolve {shlex.quote(str(folder))}" if found.unknown else ""
    _print_all([status_json(found)] if as_json else status_lines(found, resolve))


@cli.command(short_help="Print the results lines of a batch.")
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--latest", is_flag=True, help="One line per job: the newest.")
@click.option("--rebuild", is_flag=True, help="Write results.jsonl anew from the ledger, and print nothing.")
@verbose_option
def results(folder: Path, latest: bool, rebuild: bool) -> None:
    """Print the results lines (JSON) of the batch in DIR.

    \b
    Examples:
      pipeline results outputs/shots | jq -r .job_id
      pipeline results outputs/shots --latest | grep '"status":"failed"'
      pipeline results outputs/shots --rebuild
    """
    from pipeline import ledger

    if latest and rebuild:
        raise click.UsageError("--latest prints and --rebuild does not: choose one")
    with ledger.LedgerReader(folder) as reader:
        if latest:
            _print_all(reader.latest())
        elif not rebuild:
            _print_file(folder / ledger.RESULTS_NAME)
    if rebuild:
        from pipeline.folder import hold

        with hold(folder):
            length = ledger.rebuild(folder)
        _say(f"{folder / ledger.RESULTS_NAME}: written anew, {length:,} bytes")


@cli.command(short_help="Decide about a submit with an unknown outcome.")
@click.argument("folder", metavar="DIR", type=_PATH)
@click.argument("job_id", metavar="JOB")
@click.option("--task-id", metavar="ID", help="This task exists at the service: collect it. Nothing is paid again.")
@click.option("--resubmit", is_flag=True, help="Buy another attempt; if the lost one exists, it was paid for as well.")
@click.option("--write-off", is_flag=True, help="Count the job as failed.")
@verbose_option
def resolve(folder: Path, job_id: str, task_id: str | None, resubmit: bool, write_off: bool) -> None:
    """Decide about JOB of the batch in DIR, whose submit has an unknown outcome.

    \b
    Examples:
      pipeline resolve outputs/shots wave-01 --task-id 9f1c0d2e7b3a4c55a0b1c2d3e4f50617
      pipeline resolve outputs/shots wave-01 --resubmit
      pipeline resolve outputs/shots wave-01 --write-off
    """
    import asyncio

    from pipeline.decide import Decision, decide
    from pipeline.folder import is_rehearsal

    if (task_id is not None) + resubmit + write_off != 1:
        raise click.UsageError("say exactly one of --task-id ID, --resubmit and --write-off")
    decision = Decision.RESUBMIT if resubmit else Decision.WRITE_OFF if write_off else Decision.ADOPT
    job = asyncio.run(decide(folder, job_id, decision, task_id))
    becomes = {
        Decision.ADOPT: "running; the next run collects its task",
        Decision.RESUBMIT: "queued; the next run buys another attempt",
        Decision.WRITE_OFF: "failed; only --retry-failed would buy it again",
    }
    _print_all([f"{job_id} is {becomes[decision]}"])
    if decision is not Decision.WRITE_OFF:
        rehearsed = " --rehearse" if is_rehearsal(folder) else ""
        _print_all(
            [f"  to go on: {_program()} run {shlex.quote(job.source.file)} -o {shlex.quote(str(folder))}{rehearsed}"]
        )


@cli.command(short_help="Compare every video with its record.")
@click.argument("folder", metavar="DIR", type=_PATH)
@verbose_option
def verify(folder: Path) -> int:
    """Compare every video of the batch in DIR with its record: length and SHA-256. Exit 1 where any differs.

    What differs is fetched again by the next run, without paying, while the service still has it.

    \b
    Example:
      pipeline verify outputs/shots
    """
    import asyncio

    from pipeline.verification import compare

    async def differing() -> tuple[int, int]:
        files = wrong = 0
        async for found in compare(folder):
            files += 1
            if found.verdict:
                wrong += 1
                next_step = (
                    "the next run fetches it again" if found.fetched_again else "not noted: the folder is in use"
                )
                _print_all([f"{printable(found.file.path)}: job {found.job_id}: {found.verdict}; {next_step}"])
        return files, wrong

    files, wrong = asyncio.run(differing())
    _print_all([f"{folder}: {many(files, 'file')} checked, {wrong:,} differ from the record"])
    return 1 if wrong else 0


@cli.command(short_help="Write the report of a batch.")
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("-o", "--output", type=_PATH, metavar="FILE", help="Where to write it; DIR/report.html by default.")
@verbose_option
def report(folder: Path, output: Path | None) -> None:
    """Write the report of the batch in DIR: one HTML file with figures, charts and videos that needs no network. Works
    while a run goes on.

    \b
    Examples:
      pipeline report outputs/shots
      pipeline report outputs/shots -o outputs/shots-monday.html
    """
    from pipeline.views.report import write_report

    _print_all([printable(str(write_report(folder, output)))])


@cli.command(short_help="Serve the report of a batch live on this machine.")
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--port", type=_PORT, default=0, metavar="N", help="Any free one by default.")
@verbose_option
def watch(folder: Path, port: int) -> None:
    """Serve the report of the batch in DIR live, on 127.0.0.1 alone, until SIGINT or SIGTERM. It reads and never
    writes, and may be started before the run and left on after it.

    \b
    Examples:
      pipeline watch outputs/shots
      pipeline watch outputs/shots --port 8800
    """
    import asyncio

    from pipeline.foreground import until_signalled
    from pipeline.ledger import LEDGER_NAME
    from pipeline.views.watch import Watch

    async def serve() -> None:
        async with Watch(folder, port=port) as watching:
            waiting = "" if (folder / LEDGER_NAME).exists() else " (no batch there yet)"
            _print_all([f"watching {printable(str(folder))}{waiting}: {watching.url}"])
            await until_signalled()

    asyncio.run(serve())


@cli.command(short_help="Show what the models accept and cost.")
@click.argument("name", metavar="[NAME]", required=False)
@catalog_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@verbose_option
def models(name: str | None, catalog: str | None, as_json: bool) -> None:
    """List the models of the catalog, or show what the model NAME accepts and costs, with an example.

    \b
    Examples:
      pipeline models
      pipeline models Wan-AI/Wan2.2-I2V
      pipeline models --json | jq '.entries[] | select(.price == null) | .models'
    """
    from pipeline.catalog import Catalog
    from pipeline.views.models import model_page, models_json, models_table

    known = Catalog.load(Path(catalog) if catalog else None)
    if as_json:
        _print_all([models_json(known, name)])
    else:
        _print_all(model_page(known, name) if name else models_table(known))


@cli.command(short_help="Print the JSON Schema of a manifest.")
@catalog_option
@verbose_option
def schema(catalog: str | None) -> None:
    """Print the JSON Schema (2020-12) of a manifest, by which editors complete and check one.

    \b
    Example:
      pipeline schema > manifest.schema.json
    and as the first line of the manifest:
      # yaml-language-server: $schema=manifest.schema.json
    """
    from pipeline.catalog import Catalog
    from pipeline.views.schema import schema_text

    _print_all([schema_text(Catalog.load(Path(catalog) if catalog else None))])


@cli.command(short_help="Rehearse the service on this machine.")
@click.option("--port", type=_PORT, default=0, metavar="N", help="Of the API; any free one by default.")
@click.option(
    "--results-port", type=_PORT, default=0, metavar="N", help="Of the result files; any free one by default."
)
@click.option("--scenario", type=_PATH, metavar="FILE", help="The trouble to play (YAML), see configs/scenarios.")
@click.option("--speed", type=float, default=1.0, metavar="X", help="How many times faster than life (1).")
@click.option("--folder", type=_PATH, metavar="DIR", help="Keep tasks and ports there, over restarts.")
@verbose_option
def emulator(port: int, results_port: int, scenario: Path | None, speed: float, folder: Path | None) -> None:
    """Rehearse the service on this machine until SIGINT or SIGTERM; then say what happened.

    \b
    Examples:
      pipeline emulator --speed 20
      pipeline emulator --port 8080 --scenario configs/scenarios/busy-account.yaml
    """
    import asyncio
    from dataclasses import asdict

    from pipeline.emulator import Emulator, Scenario
    from pipeline.foreground import until_signalled
    from pipeline.views.farewell import farewell

    async def serve() -> None:
        played = Scenario.load(scenario) if scenario else Scenario()
        service = Emulator(played, port=port, results_port=results_port, speed=speed, folder=folder)
        async with service:
            _print_all(
                [
                    f"the emulator listens, at {speed:g} times the speed of life; in another shell:",
                    f"export MODELVERSE_ENDPOINT={service.base_url}",
                    "export MODELVERSE_API_KEY=rehearsal",
                ]
            )
            await until_signalled()
            seen = asdict(service.statistics())
        _print_all([farewell(seen)])

    asyncio.run(serve())


def _config_layer(config: Path | None) -> "Layer | None":
    if config is None:
        return None
    from pipeline.settings import config_file_layer

    return config_file_layer(config)


def _import_client_beside() -> None:
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


# -- words on the screen -----------------------------------------------------------------------------------------------


def _say(text: str) -> None:
    """To a person, beside the data; whatever the text quotes, it does not steer the terminal."""
    try:
        click.echo("\n".join(map(printable, text.split("\n"))), err=True)
    except OSError:  # nobody is there to be told, and what is left in the buffer must not complain at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _print_all(lines: Iterable[str]) -> None:
    """To standard output, where a pipe may read it."""
    with _output():
        for line in lines:
            print(line)


def _print_file(path: Path) -> None:
    """The whole lines of a file that another process may be appending to."""
    if not path.exists():
        return
    if path.is_symlink() or not path.is_file():
        raise FolderError(f"{path} is no file of a run; write it anew with --rebuild")
    with path.open("rb") as file, _output():
        for line in file:
            if line.endswith(b"\n"):
                sys.stdout.buffer.write(line)


@contextlib.contextmanager
def _output() -> Iterator[None]:
    """Everything is written when this ends. Raises `BrokenPipeError` where nobody reads, else `FolderError`."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer is flushed at exit, and must not complain a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise FolderError(f"standard output cannot be written: {error.strerror}") from error


def _program() -> str:
    """The command as it was called, short where the shell finds it by its short name."""
    import shutil

    called = sys.argv[0]
    if Path(called).name == "__main__.py":
        return "python -m pipeline"
    found = shutil.which(Path(called).name)
    return Path(called).name if found and Path(found).resolve() == Path(called).resolve() else shlex.quote(called)


def _same_run(shell: Shell, *without: str) -> str:
    """The command as it was typed, without what would buy again what has ended meanwhile, and without some options."""
    kept = [argument for argument in shell.arguments if argument not in _BUYING_AGAIN]
    for option in without:
        kept = [argument for argument in kept if not argument.startswith(f"{option}=")]
        if option in kept:
            place = kept.index(option)
            del kept[place : place + 2]
    return shlex.join(kept)


def _tell_end(ending: "Ending", commands: "Commands", *, quiet: bool) -> int:
    """The summary of a run, and its exit code: that is the run's, whoever reads the summary."""
    from pipeline.views.summary import spoken_lines

    try:
        _print_all(spoken_lines(ending, commands, quiet=quiet, terminal=sys.stdout.isatty()))
    except BrokenPipeError:
        pass
    except FolderError as error:
        _say(_complaint(error))
    return ending.exit_code


def _say_what_waits(order: "Order") -> None:
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
            command = f"{_program()} collect {shlex.quote(str(folder))}"
            _say(f"pipeline: {many(waiting, 'paid task')} of {folder} can be collected all the same: {command}")


def _to_type_next(shell: Shell, order: "Order", folder: str) -> "Commands":
    """What a run's summary may offer."""
    from pipeline.views.summary import Commands

    if order.manifest is None:
        again = f"run MANIFEST -o {shlex.quote(folder)}{' --rehearse' if order.rehearse else ''}"
        return Commands(_program(), again, shlex.quote(folder))

    places = (("-o", order.output), ("-c", order.config))
    plan = ["plan", order.manifest, *(word for flag, path in places if path is not None for word in (flag, str(path)))]
    unselected = _same_run(shell, "--select") if "select" in order.flags else ""
    uncapped = _same_run(shell, *_CAPS)
    return Commands(_program(), _same_run(shell), shlex.quote(folder), shlex.join(plan), unselected, uncapped)


def _same_run_elsewhere(shell: Shell) -> str:
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
    return f"cd {shlex.quote(str(Path.cwd()))} && {_program()} {shlex.join(kept)}"


# -- the end -----------------------------------------------------------------------------------------------------------


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
        _say("pipeline: interrupted")
        code = INTERRUPTED
    except click.ClickException as error:
        _say(_usage(error))
        code = error.exit_code
    except PipelineError as error:
        _say(_complaint(error))
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - the last resort: whatever else comes here is a bug, and says so
        _say(_bug(error, shell.verbose))
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


def _complaint(error: PipelineError) -> str:
    """All problems of a manifest with a closing count, or the one sentence."""
    if isinstance(error, ManifestError):
        return f"{error.message}\npipeline: {many(error.total, 'problem')} in the manifest; nothing was submitted"
    return f"pipeline: {error.message}"


def _bug(error: Exception, verbose: bool) -> str:
    if verbose:
        import traceback

        return "".join(traceback.format_exception(error)).rstrip()
    return f"pipeline: a bug: {type(error).__name__}: {printable(str(error))}; run again with -v for the whole story"

"""A run in the foreground of a terminal or a service manager: it shows what happens and obeys signals."""

import asyncio
import contextlib
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from pipeline.api import REHEARSAL_SPEED, Run, examine
from pipeline.core.errors import PipelineError
from pipeline.core.events import BatchPriced, BatchStarted, Event, JobMoved
from pipeline.core.jobs import ENDED, EVERY_STATE, JobState, Outcome
from pipeline.core.money import Spending
from pipeline.core.values import Value
from pipeline.engine.batch import Summary
from pipeline.engine.durations import KEY, recollect
from pipeline.event_loop import loop_factory
from pipeline.folder import default_folder, run_folder
from pipeline.ledger import LedgerReader
from pipeline.manifest import Manifest, open_manifest
from pipeline.manifest.nothing import NoManifest
from pipeline.settings import Settings, config_file_layer, read_api_key, settings_for
from pipeline.views.next_step import BY_PROGRAM, Commands, buys_again, is_unselected
from pipeline.views.plan import priced_lines
from pipeline.views.progress import keep_drawing
from pipeline.views.screen import Screen, open_screen
from pipeline.views.standing import Subject
from pipeline.views.summary import SHOWN, Ending, Harvest
from pipeline.views.tally import nothing_to_do

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Order(Value, kw_only=True):
    """What was asked for; None means that nothing was said."""

    manifest: str | None
    """None: only what is paid for is collected, in the folder `output`."""
    output: Path | None
    config: Path | None
    flags: Mapping[str, Any]
    """Settings by name."""
    rehearse: bool
    speed: float | None
    scenario: Path | None
    api_key_file: Path | None
    quiet: bool
    verbose: bool
    commands: Commands = BY_PROGRAM
    """What to type next, for those who are told of the run's end elsewhere."""


def conduct(order: Order, stream: TextIO) -> Ending:
    """Check the manifest, run it to its end or to a stop, and tell how it ended; `stream` shows how it goes on.

    Raises `PipelineError`s, and `KeyboardInterrupt` where a signal came before there was a run to stop.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the API key
    config = config_file_layer(order.config) if order.config else None
    with _interruptible(), _opened(order) as manifest:
        manifest.judge_by(order.flags, config)
        folder = order.output or default_folder(manifest.name)
        examined = examine(manifest, run_folder(folder, rehearse=order.rehearse))
        settings = settings_for(manifest.run, manifest.file, order.flags, config)
        subject = subject_of(order, manifest.file, run_folder(folder, rehearse=order.rehearse), settings)
        screen = open_screen(stream, settings, quiet=order.quiet, verbose=order.verbose, subject=subject)
        warned = order.verbose or not order.rehearse  # the warnings speak of the real service
        opening = Opening(
            screen,
            examined.reading.warnings if warned else (),
            rehearsal=order.rehearse,
            verbose=order.verbose,
            prices_as_of=manifest.catalog.prices_as_of,
        )
        with contextlib.closing(screen), contextlib.closing(opening):
            run = Run(
                manifest,
                folder,
                examined=examined,
                settings=settings,
                api_key=None if order.rehearse else read_api_key(order.api_key_file),
                rehearse=order.rehearse,
                speed=_speed(order),
                scenario=order.scenario,
                listener=opening.hear,
                moves=ENDED if order.quiet and not order.verbose else EVERY_STATE,
                commands=order.commands,
            )
            began = time.monotonic()
            with asyncio.Runner(loop_factory=loop_factory(settings.event_loop)) as runner:
                summary = runner.run(_see_through(run, screen))
            return _ending(run.folder, summary, time.monotonic() - began, opening, settings)


def _opened(order: Order) -> Manifest:
    """The manifest, or what stands for none. Raises `UsageError` where there is nothing to collect from."""
    if order.manifest is not None:
        return open_manifest(order.manifest)
    folder = order.output or Path()
    with LedgerReader(folder):  # says so where there is no batch
        return NoManifest(folder)


class Opening:
    """Hears a run: holds back what it begins with until it is known whether there is anything to do, and then counts.

    A run with nothing to do says nothing of warnings and prices, unless somebody wants to know everything.
    """

    def __init__(
        self, screen: Screen, warnings: Sequence[str], *, rehearsal: bool, verbose: bool, prices_as_of: str
    ) -> None:
        self._screen = screen
        self._warnings = warnings
        self._verbose = verbose
        self.prices_as_of = prices_as_of
        self._held: list[BatchPriced] | None = []
        self.rehearsal = rehearsal
        self.before: Sequence[Spending] = ()
        """What the folder had come to when the run began."""
        self.idle = False
        """There is nothing to submit and nothing to collect."""
        self.harvest = Harvest()

    def hear(self, event: Event) -> None:
        """A listener of the run."""
        if isinstance(event, JobMoved):
            if event.outcome is not None:
                self._reap(event.state, event.outcome)
        elif self._held is not None:
            if isinstance(event, BatchPriced):
                self.before = event.spending
                self._held.append(event)
                return
            if isinstance(event, BatchStarted):
                self.idle = nothing_to_do(event)
                self._speak(told=self._verbose or not self.idle)
        self._screen.hear(event)

    def close(self) -> None:
        """Say what was held back, where the run ended before it had begun."""
        if self._held is not None:
            self._speak(told=True)

    def _speak(self, *, told: bool) -> None:
        held, self._held = self._held or [], None
        for warning in self._warnings if told else ():
            self._screen.warn(warning)
        for event in held:
            for line in priced_lines(event, rehearsal=self.rehearsal, prices_as_of=self.prices_as_of) if told else ():
                self._screen.say(line)
            self._screen.hear(event)

    def _reap(self, state: JobState, outcome: Outcome) -> None:
        harvest = self.harvest
        harvest.ended[state] = harvest.ended.get(state, 0) + 1
        for file in outcome.files:
            harvest.videos += 1
            harvest.bytes += file.bytes


def subject_of(order: Order, manifest: str, folder: Path, settings: Settings) -> Subject:
    """What the screen says of the run, with what an earlier run has learned about its tasks."""
    medians: dict[str, float | None] = {}
    with contextlib.suppress(PipelineError), LedgerReader(folder) as reader:  # no batch yet: nothing is learned
        medians = {name: kind.total.curve.median for name, kind in recollect(reader.recall(KEY)).items()}
    return Subject(
        manifest,
        str(folder),
        rehearsal=order.rehearse,
        speed=_speed(order) if order.rehearse else 1.0,
        downloads=settings.downloads,
        learned=medians.get,
    )


def _speed(order: Order) -> float:
    return REHEARSAL_SPEED if order.speed is None else order.speed


def _ending(folder: Path, summary: Summary, elapsed: float, opening: Opening, settings: Settings) -> Ending:
    """With what the ledger has to say about it; seconds."""
    with LedgerReader(folder) as reader:
        return Ending(
            exit_code=summary.exit_code,
            counts=summary.counts,
            elapsed=elapsed,
            folder=str(folder),
            stops=summary.stops,
            failures=reader.failures(),
            unknown=list(islice(reader.unknown(), SHOWN)),
            spending=reader.spending() or (),
            spent_before=opening.before,
            prices_as_of=opening.prices_as_of,
            rehearsal=opening.rehearsal,
            harvest=opening.harvest,
            idle=opening.idle,
            unselected=is_unselected(summary.counts, summary.stops, settings),
            selected=settings.select is not None,
            rebuys=buys_again(settings),
            has_report=(folder / "report.html").is_file(),
        )


async def _see_through(run: Run, screen: Screen) -> Summary:
    """Run to the end. The first signal asks the run to stop, the second insists, the third meets its default.

    Signals are heard until everything is closed; what is left to do then ends by itself.
    """
    loop = asyncio.get_running_loop()
    signals = SignalsToStop(run, screen)
    with contextlib.ExitStack() as ears:
        async with run:  # while it waits for its folder, a signal is an interruption
            ears.callback(signals.over)
            ears.enter_context(hearing(signals.hear))
            loop.add_signal_handler(signal.SIGCONT, screen.resume)
            drawing = asyncio.create_task(keep_drawing(screen))
            try:
                return await run.summary()
            finally:
                drawing.cancel()
                loop.remove_signal_handler(signal.SIGCONT)
                screen.close()


class SignalsToStop:
    """Turns signals into stops of a run."""

    def __init__(self, run: Run, screen: Screen) -> None:
        self._run = run
        self._screen = screen
        self._asked = False
        self._insisted = False

    def hear(self, number: signal.Signals) -> None:
        """A signal came."""
        if self._asked:
            self._insisted = True
            self._run.stop("signal", f"{number.name} received", grace=0.0)
            deafen()
            return
        self._asked = True
        self._run.stop("signal", f"{number.name} received")
        self._screen.say("finishing what is under way, for some seconds; a second signal ends at once")

    def over(self) -> None:
        """The run is closed: unless somebody insisted, a signal has nothing more to stop."""
        if not self._insisted:
            _overhear_one()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Outside the event loop, when a run is over: one signal is overheard, the next meets its default."""
    before = _overhear_one()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _overhear_one() -> dict[signal.Signals, Any]:
    """Let one signal pass, whichever comes first. Returns the handlers as they were."""
    return {number: signal.signal(number, _overheard) for number in _heeded()}


def _overheard(_number: int, _frame: FrameType | None) -> None:
    for number in _heeded():
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


async def until_signalled() -> None:
    """Wait for a signal that asks to end."""
    asked = asyncio.Event()
    with hearing(lambda _number: asked.set()):
        await asked.wait()


@contextlib.contextmanager
def hearing(hear: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Hand signals to a function of the event loop; a signal that is ignored (by `nohup`, say) stays ignored."""
    loop = asyncio.get_running_loop()
    for number in _heeded():
        loop.add_signal_handler(number, hear, number)
    try:
        yield
    finally:
        deafen()


def deafen() -> None:
    """Give the signals back to their defaults."""
    loop = asyncio.get_running_loop()
    for number in _heeded():
        loop.remove_signal_handler(number)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Outside the event loop, every signal that asks to end raises KeyboardInterrupt, as Ctrl-C does."""
    before = {number: signal.signal(number, _interrupt) for number in _heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heeded() -> list[signal.Signals]:
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

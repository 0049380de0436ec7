"""A run in the foreground of a terminal or a service manager: it shows what happens and obeys signals."""

import asyncio
import contextlib
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from pipeline.api import REHEARSAL_SPEED, Run, examine
from pipeline.core.events import BatchPriced, Event
from pipeline.core.money import Spending
from pipeline.engine.batch import Summary
from pipeline.folder import default_folder, run_folder
from pipeline.ledger import LedgerReader
from pipeline.manifest import open_manifest
from pipeline.settings import config_file_layer, read_api_key, settings_for
from pipeline.views.plan import priced_lines
from pipeline.views.progress import keep_drawing
from pipeline.views.screen import Screen, open_screen
from pipeline.views.summary import SHOWN, Ending

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for; None means that nothing was said."""

    manifest: str
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


def conduct(order: Order, stream: TextIO) -> Ending:
    """Check the manifest, run it to its end or to a stop, and tell how it ended; `stream` shows how it goes on.

    Raises `PipelineError`s, and `KeyboardInterrupt` where a signal came before there was a run to stop.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the API key
    config = config_file_layer(order.config) if order.config else None
    with _interruptible(), open_manifest(order.manifest) as manifest:
        manifest.judge_by(order.flags, config)
        folder = order.output or default_folder(manifest.name)
        examined = examine(manifest, run_folder(folder, rehearse=order.rehearse))
        settings = settings_for(manifest.run, manifest.file, order.flags, config)
        screen = open_screen(stream, settings, quiet=order.quiet, verbose=order.verbose)
        totals = Totals(screen, rehearsal=order.rehearse, prices_as_of=manifest.catalog.prices_as_of)
        run = Run(
            manifest,
            folder,
            examined=examined,
            settings=settings,
            api_key=None if order.rehearse else read_api_key(order.api_key_file),
            rehearse=order.rehearse,
            speed=REHEARSAL_SPEED if order.speed is None else order.speed,
            scenario=order.scenario,
            listener=totals.hear,
        )
        if order.verbose or not order.rehearse:  # the warnings speak of the real service
            for warning in examined.reading.warnings:
                screen.warn(warning)
        began = time.monotonic()
        summary = asyncio.run(_see_through(run, screen))
        return _ending(run.folder, summary, time.monotonic() - began, totals)


class Totals:
    """Says first what a run is about to buy, and hands everything that happens on to the screen."""

    def __init__(self, screen: Screen, *, rehearsal: bool, prices_as_of: str) -> None:
        self._screen = screen
        self.prices_as_of = prices_as_of
        self.rehearsal = rehearsal
        self.before: Sequence[Spending] = ()
        """What the folder had come to when the run began."""

    def hear(self, event: Event) -> None:
        """A listener of the run."""
        if isinstance(event, BatchPriced):
            self.before = event.spending
            for line in priced_lines(event, rehearsal=self.rehearsal, prices_as_of=self.prices_as_of):
                self._screen.say(line)
        self._screen.hear(event)


def _ending(folder: Path, summary: Summary, elapsed: float, totals: Totals) -> Ending:
    """With what the ledger has to say about it; seconds."""
    with LedgerReader(folder) as reader:
        return Ending(
            exit_code=summary.exit_code,
            counts=summary.counts,
            elapsed=elapsed,
            folder=str(folder),
            stops=[stop.message for stop in summary.stops],
            failures=reader.failures(),
            unknown=list(islice(reader.unknown(), SHOWN)),
            spending=reader.spending() or (),
            spent_before=totals.before,
            prices_as_of=totals.prices_as_of,
            rehearsal=totals.rehearsal,
        )


async def _see_through(run: Run, screen: Screen) -> Summary:
    """Run to the end. The first signal asks the run to stop, the second insists, the third meets its default."""
    async with run:
        with hearing(SignalsToStop(run, screen).hear):
            drawing = asyncio.create_task(keep_drawing(screen.progress))
            try:
                return await run.summary()
            finally:
                drawing.cancel()
                screen.progress.close()


class SignalsToStop:
    """Turns signals into stops of a run."""

    def __init__(self, run: Run, screen: Screen) -> None:
        self._run = run
        self._screen = screen
        self._asked = False

    def hear(self, number: signal.Signals) -> None:
        """A signal came."""
        if self._asked:
            self._run.stop("signal", f"{number.name} received", grace=0.0)
            deafen()
            return
        self._asked = True
        self._run.stop("signal", f"{number.name} received")
        self._screen.say("finishing what is under way, for some seconds; a second signal ends at once")


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

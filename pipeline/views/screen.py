"""The standard error stream of a run: progress at the bottom, log lines above it."""

import contextlib
from collections.abc import Callable
from typing import TextIO

from pipeline.core.events import Event
from pipeline.settings import Settings
from pipeline.views.log import JsonLog, Level, TextLog
from pipeline.views.progress import Progress, open_progress
from pipeline.views.standing import Subject


class Screen:
    """Hears every event, and hands it to the log before the progress, so that a line stands above the newer picture.

    What goes wrong in showing a run is told once, and never ends the run: it goes on without its progress.
    """

    def __init__(self, progress: Progress, log: TextLog | JsonLog, *, talks: bool) -> None:
        self.progress = progress
        self._log = log
        self._talks = talks
        self._broken = False

    def hear(self, event: Event) -> None:
        """Log the event, and show what it changes."""
        try:
            self._log.hear(event)
            if not self._broken:
                self.progress.hear(event)
        except Exception as error:  # noqa: BLE001 - as in `_guarded`, without its cost for each of many events
            self._break(error)

    def tick(self) -> None:
        """Draw, where it is time to."""
        self._shown(self.progress.tick)

    def warn(self, warning: str) -> None:
        """Log a warning about the manifest."""
        self._guarded(lambda: self._log.warn(warning))

    def say(self, sentence: str) -> None:
        """Tell a person something, where a person is being talked to."""
        if self._talks:
            self._guarded(lambda: self.progress.line(sentence))

    def resume(self) -> None:
        """Go on after the process was stopped."""
        self._shown(self.progress.resume)

    def close(self) -> None:
        """Leave the screen in order; what was said is out."""
        self._guarded(self.progress.close)

    def _shown(self, show: Callable[[], None]) -> None:
        if not self._broken:
            self._guarded(show)

    def _guarded(self, show: Callable[[], None]) -> None:
        try:
            show()
        except Exception as error:  # noqa: BLE001 - what shows a paid run must not end it, whatever is wrong with it
            self._break(error)

    def _break(self, error: Exception) -> None:
        """Show nothing more, and say so, once."""
        if self._broken:
            return
        self._broken = True
        why = f"the screen failed ({type(error).__name__}: {error}); the run goes on without it"
        with contextlib.suppress(Exception):  # the same trouble once more, perhaps
            self.progress.close()
        with contextlib.suppress(Exception):
            self._log.warn(why)


def open_screen(
    stream: TextIO, settings: Settings, *, quiet: bool, verbose: bool, subject: Subject | None = None
) -> Screen:
    """The screen that the settings ask for.

    Quiet shows no progress and logs failures and stops only. A JSON log says everything, unless quiet, and `auto`
    shows no progress beside it, so that every line is an object.
    """
    as_json = settings.log_format == "json"
    silent = quiet or (as_json and settings.progress == "auto")
    shown = open_progress("none" if silent else settings.progress, stream, subject)
    if as_json:
        level = Level.ERRORS if quiet else Level.EVERYTHING
        return Screen(shown, JsonLog(shown.line, level), talks=False)
    level = Level.EVERYTHING if verbose else Level.ERRORS if quiet else Level.NOTABLE
    return Screen(shown, TextLog(shown.line, level), talks=not quiet)

"""What is new in a ledger, asked about once a second and kept in numbered steps, so that anybody can catch up.

A step costs what has changed, not what there is: only jobs that moved are read again, and where the files have not been
touched nothing is. What takes longer is done less often, so that watching a large batch stays cheap.
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError, UsageError
from pipeline.core.jobs import JobState, LocalFile
from pipeline.ledger import LEDGER_NAME, LedgerReader, Sketch
from pipeline.ledger.sketches import Video
from pipeline.views.report.batch import NOTHING, SHOWN, Standing, Told, batch_facts, figures
from pipeline.views.report.cards import CardMaker, embedded
from pipeline.views.report.charts import charts_of
from pipeline.views.report.moments import Moment
from pipeline.views.report.page import page

EVERY = 1.0
"""Seconds between two looks, at least."""
_SHARE = 10.0
"""A look that took a second is followed by so many seconds without one."""
_CHARTS_SHARE = 20.0
"""The same for the charts, which are counted anew over all jobs."""
_CHARTS_EVERY = 3.0
"""…and at least so many looks lie between two of them."""
_SLACK = 1_000
"""Cards above the limit before the oldest are let go: one sweep for many."""

Stamp = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class News:
    """Everything after a step, up to another."""

    step: int
    figures: str
    """JSON."""
    cards: tuple[str, ...]
    charts: str | None
    """JSON; None where they are the same as before."""
    trouble: str
    """Why nothing can be read now; empty where it can."""


class ServedLinks:
    """Numbers instead of names: the server looks up in the ledger what they stand for."""

    def video(self, seq: int, number: int, path: str) -> str:  # noqa: ARG002 - a path is nothing to serve by
        return f"video/{seq}/{number}"

    def picture(self, seq: int, number: int, path: str) -> str:  # noqa: ARG002 - a path is nothing to serve by
        return f"picture/{seq}/{number}"


@dataclass(slots=True)
class _State:
    """What is known so far. Made anew where the folder holds another batch than before."""

    epoch: str = field(default_factory=lambda: secrets.token_hex(4))
    standing: Standing = NOTHING
    told: Told = field(default_factory=Told)
    cards: OrderedDict[int, tuple[int, str]] = field(default_factory=OrderedDict)
    """By cursor: the step in which the card changed, and the card; what changed last comes last."""
    since: float | None = None
    """The latest movement that was read; None where nothing was."""
    stamp: Stamp | None = None
    trouble: str = ""
    figures: str = "{}"
    charts: str = ""
    charts_step: int = 0
    charts_due: float = 0.0
    charts_stale: bool = True


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at the ledger brought: changed cards by cursor."""

    changed: list[tuple[int, str]] = field(default_factory=list)


class Feed:
    """Reads while `keep_reading` runs; whoever shows it waits for `changed`."""

    def __init__(self, folder: Path, every: float = EVERY) -> None:
        self.folder = folder
        self._every = every
        self.step = 0
        self._state = _State()
        self._maker = CardMaker(ServedLinks())
        self._reading = asyncio.Lock()
        self._changed = asyncio.Event()
        self._looked = False
        self.ended = False

    @property
    def epoch(self) -> str:
        """Another one means that nothing of before holds any more."""
        return self._state.epoch

    @property
    def in_trouble(self) -> bool:
        """Whether nothing can be read now."""
        return bool(self._state.trouble)

    async def keep_reading(self) -> None:
        """Look again and again, for good. The first look reads everything, and is no measure of the others."""
        pause = self._every
        await self.look()
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            await self.look()
            pause = max(self._every, _SHARE * (time.monotonic() - began))

    async def look(self) -> None:
        """Look once. What cannot be read is told, and tried again by the next look."""
        async with self._reading:
            before = self._state.trouble
            found = await asyncio.to_thread(self._look)
            charts = await asyncio.to_thread(self._charts)
            self._looked = True
            if found or charts or self._state.trouble != before:
                self._take(found, charts)

    def end(self) -> None:
        """Let everybody go who waits."""
        self.ended = True
        self._changed.set()

    async def changed(self, after: int, seconds: float) -> bool:
        """Wait for a step after this one, or for the end; False where neither came in so many seconds."""
        event = self._changed  # taken before the question: a step that comes meanwhile sets this very one
        if self.step > after or self.ended:
            return True
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return False

    def news(self, after: int) -> News | None:
        """What is new after a step; None where nothing is."""
        if after >= self.step:
            return None
        state = self._state
        cards = tuple(reversed(list(self._cards_after(after))))
        charts = state.charts if state.charts_step > after else None
        return News(self.step, state.figures, cards, charts, state.trouble)

    async def page(self) -> bytes:
        """The whole page as of the latest step; the first one waits for the first look."""
        if not self._looked:
            await self.look()
        async with self._reading:
            return await asyncio.to_thread(self._page)

    # -- in the event loop --------------------------------------------------------------------------------------------

    def _take(self, found: _Look | None, charts: str | None) -> None:
        """The next step."""
        self.step += 1
        state = self._state
        for seq, card in found.changed if found else ():
            state.cards[seq] = self.step, card
            state.cards.move_to_end(seq)
        if charts is not None:
            state.charts, state.charts_step = charts, self.step
        if len(state.cards) > SHOWN + _SLACK:
            self._let_go()
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    def _cards_after(self, after: int) -> Iterator[str]:
        for step, card in reversed(self._state.cards.values()):
            if step <= after:
                return
            yield card

    def _let_go(self) -> None:
        state = self._state
        calm = [seq for seq in state.cards if state.told.state(seq) not in {JobState.FAILED, JobState.UNKNOWN}]
        for seq in calm[: len(state.cards) - SHOWN]:
            del state.cards[seq]

    # -- in a thread, one at a time -----------------------------------------------------------------------------------

    def _look(self) -> _Look | None:
        """What has changed since the last look; None where nothing has."""
        stamp = self._stamp()
        if stamp == self._state.stamp and not self._state.trouble:
            return None
        try:
            with LedgerReader(self.folder) as reader:
                found = self._read(reader)
        except UsageError:  # no batch yet
            found = self._reset() if self._state.since is not None else None
        except PipelineError as error:
            self._state.trouble = error.message
            return None
        except Exception as error:  # noqa: BLE001 - a bug of ours is shown to whoever watches, and the next look may do
            self._state.trouble = f"a bug: {type(error).__name__}: {error}"
            return None
        self._state.stamp = stamp
        self._state.trouble = ""
        return found

    def _stamp(self) -> Stamp:
        """When the ledger's files were last written, and how long they are."""
        path = self.folder / LEDGER_NAME
        found = []
        for one in (path, path.with_name(f"{path.name}-wal")):
            try:
                facts = one.stat()
            except OSError:
                found.append((0, 0))
            else:
                found.append((facts.st_mtime_ns, facts.st_size))
        return tuple(found)

    def _read(self, reader: LedgerReader) -> _Look | None:
        standing = Standing.of(reader)
        if _first(standing) != _first(self._state.standing):
            self._reset()
        moved = standing != self._state.standing
        changed = self._moved(reader) if self._state.since is not None else self._everything(reader)
        if self._state.told.counts() != standing.counts:  # a clock went back, and jobs moved before they did
            changed = self._everything(reader)
        if self._state.told.counts() != standing.counts:  # rows are gone
            self._reset()
            changed = self._everything(reader)
        if not moved and not changed:
            return None
        state = self._state
        state.standing = standing
        state.figures = embedded(figures(standing, state.told, at=time.time()))
        state.charts_stale = True
        return _Look(changed)

    def _reset(self) -> _Look:
        self._state = _State()
        return _Look()

    def _everything(self, reader: LedgerReader) -> list[tuple[int, str]]:
        order = reader.newest(SHOWN)
        wanted = set(order)
        heard = self._heard(reader.sketches())
        cards = {seq: self._maker.card(seq, sketch, moment) for seq, sketch, moment in heard if seq in wanted}
        return [(seq, cards[seq]) for seq in reversed(order) if self._differs(seq, cards[seq])]

    def _moved(self, reader: LedgerReader) -> list[tuple[int, str]]:
        state, changed = self._state, []
        since = state.since or 0.0
        for seq, sketch, moment in self._heard(reader.moved(since)):
            card = self._maker.card(seq, sketch, moment)
            if self._differs(seq, card) and (seq in state.cards or sketch.moved_at > since):
                changed.append((seq, card))
        return changed

    def _heard(self, sketches: Iterator[tuple[int, Sketch]]) -> Iterator[tuple[int, Sketch, Moment]]:
        """The jobs, taken into account. `since` moves on after the last one only, so that none is passed over."""
        state = self._state
        latest = state.since
        for seq, sketch in sketches:
            moment = state.told.hear(seq, sketch)
            latest = max(latest or 0.0, sketch.moved_at)
            yield seq, sketch, moment
        state.since = latest

    def _differs(self, seq: int, card: str) -> bool:
        known = self._state.cards.get(seq)
        return known is None or known[1] != card

    def _charts(self) -> str | None:
        state, now = self._state, time.monotonic()
        if not state.charts_stale or now < state.charts_due:
            return None
        made = embedded(charts_of(state.told.moments, state.standing.runs, state.standing.failures))
        took = time.monotonic() - now
        state.charts_due = time.monotonic() + max(_CHARTS_EVERY * self._every, _CHARTS_SHARE * took)
        state.charts_stale = False
        return made

    def _page(self) -> bytes:
        state = self._state
        facts: dict[str, Any] = batch_facts(self.folder, state.standing, state.told, at=time.time(), live=True)
        facts["after"] = f"{state.epoch}-{self.step}"
        cards = [state.cards[seq][1] for seq in sorted(state.cards)]
        return "".join(page(facts, cards, live=True)).encode()


def _first(standing: Standing) -> str | None:
    return standing.runs[0].run_id if standing.runs else None


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that the ledger names."""

    path: Path
    mime: str


def named_file(folder: Path, kind: str, seq: int, number: int) -> NamedFile | None:
    """A job's video or local picture; None where the ledger names no such file, or something else lies in its place.

    Raises `PipelineError` where the ledger cannot be read.
    """
    with LedgerReader(folder) as reader:
        found, sketch = next(reader.sketches(after=seq - 1), (None, None))
    if found != seq or sketch is None or number < 0:
        return None
    with suppress(OSError, RuntimeError):  # it went away meanwhile, or is a link in a circle
        return _video(folder, sketch.videos, number) if kind == "video" else _picture(sketch.media, number)
    return None


def _video(folder: Path, videos: Sequence[Video], number: int) -> NamedFile | None:
    if number >= len(videos):
        return None
    place = (folder / "videos").resolve()
    path = (folder / videos[number].path).resolve()
    return NamedFile(path, _mime(path)) if path.is_relative_to(place) and path.is_file() else None


def _picture(media: Sequence[LocalFile], number: int) -> NamedFile | None:
    """The very file that the job was made of, as far as its length tells."""
    if number >= len(media):
        return None
    named = media[number]
    path = Path(named.path)
    if named.mime.partition("/")[0] not in {"image", "video", "audio"}:
        return None
    return NamedFile(path, named.mime) if path.is_file() and path.stat().st_size == named.bytes else None


def _mime(path: Path) -> str:
    import mimetypes

    guessed = mimetypes.guess_type(path.name)[0] or "video/mp4"
    return guessed if guessed.partition("/")[0] in {"image", "video", "audio"} else "application/octet-stream"

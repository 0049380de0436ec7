"""What the gallery knows of one job: a small JSON object, made of a sketch. Pure.

A card holds everything that the page shows and that a re-roll manifest repeats. It never holds where a result came
from: those URLs are signed, and whoever has one has the video.
"""

import codecs
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

import msgspec
from msgspec import Struct

from pipeline.catalog import Catalog, Entry, check_request
from pipeline.core.jobs import Failure, LocalFile, Stage
from pipeline.ledger import Sketch
from pipeline.ledger.sketches import Video
from pipeline.manifest.seeds import LARGEST_SEED, Seeds, seeds_of
from pipeline.views.report.links import Links
from pipeline.views.report.moments import Moment

LONGEST_TEXT = 20_000
"""Characters of a single text; a picture that stands in a manifest as Base64 is cut to its beginning."""
LONGEST_CARD = 60_000
"""Characters of all texts of a job together."""
_SEED = "parameters.seed"
_SHOWN_OF_CUT = 200
_UNASKED: Any = object()
_EXACT = 2**53
"""Above it, a browser's numbers are no longer every whole number; such a one is shown as text."""
_SHORT = LONGEST_TEXT // 2
"""Characters of a job's JSON up to which nothing of it is cut."""
_HALF = "\\ud"
"""How the escape of a lone surrogate begins, which only a closer look makes fit for a page."""
_ESCAPES = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\x7f", "\\u007f"))
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)


_AS_ESCAPES = "pipeline.as-json-escapes"
"""How characters beyond ASCII are encoded, a whole run of them at a time."""


def _as_escapes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return encode_basestring_ascii(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_AS_ESCAPES, _as_escapes)


class Card(Struct, omit_defaults=True, frozen=True):
    """A job as the page knows it, under these very names; what is empty or not known is left out."""

    seq: int
    id: str
    state: str
    model: str
    output: str
    source: tuple[str, int]
    attempt: int
    moved: float
    times: list[float | None]
    """Seconds of submitting, generating, noticing and downloading."""
    input: Any = None
    parameters: Any = None
    metadata: Any = None
    intent: float | None = None
    submitted: float | None = None
    finished: float | None = None
    task: str | None = None
    files: list[tuple[str, int, str]] | None = None
    """Path, bytes and URL of each video."""
    media: list[tuple[str, str, str, str]] | None = None
    """Field, path, type and URL of each local file."""
    seeds: list[int] | None = None
    cost: tuple[str, str, bool] | None = None
    """Amount and currency, and whether that is an estimate."""
    failure: tuple[Stage, str, str, int | None] | None = None
    cut: bool | None = None
    """Something of it was too long for a page."""


class CardMaker:
    """Makes the cards of one page."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._seeds = _SeedRanges()

    def card(self, seq: int, sketch: Sketch, moment: Moment) -> str:
        """A job as JSON in ASCII that can stand inside any element of a page."""
        return embedded(self._card(seq, sketch, moment))

    def _card(self, seq: int, sketch: Sketch, moment: Moment) -> Card:
        (given, parameters, metadata), cut = _for_a_page(sketch)
        cost, failure = sketch.cost, sketch.failure
        return Card(  # partly by place: so many names in one call would make a dictionary of them
            seq,
            sketch.job_id,
            str(sketch.state),  # an encoder takes long to find out what a member of an enumeration is
            sketch.model,
            sketch.output,
            (sketch.source.file, sketch.source.line),
            sketch.attempt,
            round(sketch.moved_at, 3),
            [round(part, 3) if part == part else None for part in moment.times],
            given or None,
            parameters or None,
            metadata or None,
            sketch.intent_at,
            sketch.submitted_at,
            finished=sketch.answer.finish_time,
            task=sketch.task_id,
            files=self._videos(seq, sketch.videos) if sketch.videos else None,
            media=self._media(seq, sketch.media) if sketch.media else None,
            seeds=self._seeds.of(sketch),
            cost=(cost.amount, cost.currency, cost.estimated) if cost else None,
            failure=_told(failure) if failure else None,
            cut=cut or None,
        )

    def _videos(self, seq: int, files: Sequence[Video]) -> list[tuple[str, int, str]]:
        return [(one.path, one.bytes, self._links.video(seq, number, one.path)) for number, one in enumerate(files)]

    def _media(self, seq: int, files: Sequence[LocalFile]) -> list[tuple[str, str, str, str]]:
        links = self._links
        return [
            (one.field, one.path, one.mime, links.picture(seq, number, one.path)) for number, one in enumerate(files)
        ]


def embedded(value: object) -> str:
    """The value as JSON that is safe inside an HTML page: ASCII, and no character that could begin or end a tag."""
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeError:  # a lone surrogate, which only escapes can write
        text = json.dumps(msgspec.to_builtins(value, str_keys=True), separators=(",", ":"), allow_nan=False)
    if not text.isascii():
        text = text.encode("ascii", _AS_ESCAPES).decode("ascii")
    for sign, escape in _ESCAPES:
        if sign in text:  # which is found out in less time than by replacing nothing
            text = text.replace(sign, escape)
    return text


def _told(failure: Failure) -> tuple[Stage, str, str, int | None]:
    """A failure, its message without what stands behind the paths of its URLs."""
    message = _QUERY.sub(r"\1", failure.message)[:LONGEST_TEXT]
    return failure.stage, failure.code, message, failure.http_status


def _for_a_page(sketch: Sketch) -> tuple[Sequence[Any], bool]:
    """Input, parameters and metadata as they may stand in a page, and whether anything of them was cut."""
    values = sketch.input, sketch.parameters, sketch.metadata
    if len(sketch.spec) <= _SHORT and _HALF not in sketch.spec and _are_exact(values):
        return values, False
    cutter = _Cutter()
    return [cutter.shortened(value) for value in values], cutter.happened


def _are_exact(values: Iterable[Any]) -> bool:
    """Whether a browser knows every number among them, at any depth, as it is."""
    for value in values:
        kind = type(value)
        if kind is dict:
            if not _are_exact(value.values()):
                return False
        elif kind is list:
            if not _are_exact(value):
                return False
        elif kind is int and not -_EXACT <= value <= _EXACT:
            return False
    return True


class _Cutter:
    """Shortens what is too long for a page, and remembers that it did."""

    def __init__(self) -> None:
        self._left = LONGEST_CARD
        self.happened = False

    def shortened(self, value: Any) -> Any:
        """The value with long texts cut; a float that JSON cannot write becomes null."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {self._text(str(key)): self.shortened(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.shortened(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if isinstance(value, int) and abs(value) > _EXACT:
            self.happened = True
            return str(value)
        return value

    def _text(self, text: str) -> str:
        if len(text) > min(LONGEST_TEXT, self._left):
            self.happened = True
            text = f"{text[:_SHOWN_OF_CUT]}… ({len(text):,} characters)"
        self._left = max(0, self._left - len(text))
        return text


class _SeedRanges:
    """From which to which number the seed of a new take may be chosen, by the shape of a request."""

    def __init__(self) -> None:
        self._catalog = Catalog.load()
        self._known: dict[object, list[int] | None] = {}

    def of(self, job: Sketch) -> list[int] | None:
        """The lowest and the highest; None where the model, or this form of request, is not known to have a seed."""
        shape = (job.model, *job.input, None, *job.parameters)
        found: list[int] | None = self._known.get(shape, _UNASKED)
        if found is _UNASKED:
            found = self._known[shape] = self._range(job)
        return found

    def _range(self, job: Sketch) -> list[int] | None:
        request = {"model": job.model, "input": job.input, "parameters": job.parameters}
        entry = self._catalog.entry_for(job.model, request)
        seeds = seeds_of({**request, "input": {}, "parameters": {}}, entry.field_at(_SEED) if entry else None, {})
        if "seed" in job.parameters:
            seeds = seeds or Seeds(1, 1, LARGEST_SEED)  # a model of the user's own catalog
        elif seeds and entry and not _suits(entry, request, seeds.low):
            return None
        return [seeds.low, seeds.high] if seeds else None


def _suits(entry: Entry, request: Mapping[str, Any], seed: int) -> bool:
    """Whether the catalog has nothing against a seed in this request; older forms of a model know none."""
    seeded = {**request, "parameters": {**request["parameters"], "seed": seed}}
    return all(finding.path != _SEED for finding in check_request(entry, seeded))

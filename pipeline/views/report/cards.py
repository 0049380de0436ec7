"""What the gallery knows of one job: a small JSON object, made of a story. Pure.

A card holds everything that the page shows and that a re-roll manifest repeats. It never holds where a result came
from: those URLs are signed, and whoever has one has the video.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.catalog import Catalog, Entry, check_request
from pipeline.core.jobs import Job
from pipeline.ledger import Story
from pipeline.manifest.seeds import LARGEST_SEED, Seeds, seeds_of
from pipeline.views.report.links import Links
from pipeline.views.report.moments import moment_of

LONGEST_TEXT = 20_000
"""Characters of a single text; a picture that stands in a manifest as Base64 is cut to its beginning."""
LONGEST_CARD = 60_000
"""Characters of all texts of a job together."""
_SEED = "parameters.seed"
_SHOWN_OF_CUT = 200
_EXACT = 2**53
"""Above it, a browser's numbers are no longer every whole number; such a one is shown as text."""
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)


class CardMaker:
    """Makes the cards of one page."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._seeds = _SeedRanges()

    def card(self, seq: int, story: Story) -> str:
        """A job as JSON in ASCII that can stand inside any element of a page."""
        return embedded(self._facts(seq, story))

    def _facts(self, seq: int, story: Story) -> dict[str, Any]:
        record, job = story.record, story.record.job
        cut = _Cutter()
        failure = record.outcome.failure if record.outcome else None
        report = record.report
        found: dict[str, Any] = {
            "seq": seq,
            "id": job.job_id,
            "state": record.state,
            "model": job.model,
            "input": cut.shortened(job.input),
            "parameters": cut.shortened(job.parameters),
            "metadata": cut.shortened(job.metadata),
            "output": job.output,
            "source": [job.source.file, job.source.line],
            "attempt": record.attempt,
            "moved": round(story.moved_at, 3),
            "times": [None if math.isnan(part) else round(part, 3) for part in moment_of(story).times],
            "intent": story.intent_at,
            "submitted": record.submitted_at,
            "finished": report.finish_time if report else None,
            "task": record.task.task_id if record.task else None,
            "files": self._videos(seq, story),
            "media": self._media(seq, job),
            "seeds": self._seeds.of(job),
        }
        if story.cost:
            found["cost"] = [story.cost.amount, story.cost.currency, story.cost.estimated]
        if failure:
            message = _QUERY.sub(r"\1", failure.message)[:LONGEST_TEXT]
            found["failure"] = [failure.stage, failure.code, message, failure.http_status]
        if cut.happened:
            found["cut"] = True
        return {name: value for name, value in found.items() if value is not None and value not in ({}, [])}

    def _videos(self, seq: int, story: Story) -> list[list[Any]]:
        files = story.record.outcome.files if story.record.outcome else ()
        return [[one.path, one.bytes, self._links.video(seq, number, one.path)] for number, one in enumerate(files)]

    def _media(self, seq: int, job: Job) -> list[list[Any]]:
        links = self._links
        return [
            [one.field, one.path, one.mime, links.picture(seq, number, one.path)]
            for number, one in enumerate(job.files)
        ]


def embedded(value: object) -> str:
    """The value as JSON that is safe inside an HTML page: ASCII, and no character that could begin or end a tag."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


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

    def of(self, job: Job) -> list[int] | None:
        """The lowest and the highest; None where the model, or this form of request, is not known to have a seed."""
        shape = (job.model, _names(job.input), _names(job.parameters))
        if shape not in self._known:
            self._known[shape] = self._range(job)
        return self._known[shape]

    def _range(self, job: Job) -> list[int] | None:
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


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(values))

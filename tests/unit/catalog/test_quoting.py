"""Quotes: what one attempt costs in whole millionths, shared by jobs that are alike, unknown beyond all reason."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog import Catalog, Entry, Quoter, example_of
from pipeline.core.jobs import Job, Source
from pipeline.core.money import Actual

WAN = "Wan-AI/Wan2.2-I2V"
PICTURE = {"image_url": "https://example.com/a.jpg"}
OWN = """\
date: 2026-11-20
models:
  - key: acme
    ids: [acme]
    kinds: [t2v]
    inputs: [{{path: input.prompt, type: string}}]
    parameters: [{{path: parameters.duration, {field}}}]
    price: {{cases: [{{unit: per_second, amount: {amount}}}]}}
"""


def job(model: str = WAN, given: Mapping[str, Any] = PICTURE, **parameters: Any) -> Job:
    """A job that buys this."""
    return Job("j1", "d", model, given, parameters, "j1.mp4", Source("jobs.yaml", 1))


def quoter(folder: Path, field: str, amount: str = "0.5") -> Quoter:
    """By a catalog of one's own with the model `acme`, priced by the second."""
    path = folder / "own.yaml"
    path.write_text(OWN.format(field=field, amount=amount))
    return Quoter(Catalog.load(path))


def test_jobs_share_a_quote_when_they_are_alike_in_what_the_price_depends_on() -> None:
    """Prompt and picture change nothing, resolution and length do; the amounts are whole millionths."""
    quotes = Quoter(Catalog.load())
    first = quotes.quote(job(resolution="720P", duration=8))
    assert quotes.quote(job(given={**PICTURE, "prompt": "other"}, resolution="720P", duration=8)) is first
    assert (first.expected, first.worst, first.currency) == (2_800_000, 2_800_000, "CNY")
    assert (first.seconds, first.longest, first.resolution) == (8000, 8000, "720P")
    assert quotes.quote(job(resolution="480P", duration=8)).worst == 1_440_000


def variants(model: str) -> Iterator[Job]:
    """The example of each shape of the model, and the same with each parameter left out, or of another value."""
    for entry in Catalog.load().entries_of(model):
        found = example_of(entry)
        given, parameters = found.get("input", {}), found.get("parameters", {})
        yield job(model, given, **parameters)
        for path, field in entry.fields.items():
            section, _, name = path.partition(".")
            if section == "parameters":
                yield job(model, given, **{other: value for other, value in parameters.items() if other != name})
                for value in (
                    *field.enum,
                    *([True] if field.type == "boolean" else [None, "x", 1, [{"type": "base"}]]),
                ):
                    yield job(model, given, **{**parameters, name: value})


@pytest.mark.parametrize("model", Catalog.load().models)
def test_no_quote_differs_when_others_of_the_model_were_asked_for_before(model: str) -> None:
    """What is remembered of one job is told of none that would be quoted otherwise, and so with what tasks came to."""
    quotes, usage = Quoter(Catalog.load()), {"duration": 7, "completion_tokens": 100_000}
    for one in variants(model):
        alone = Quoter(Catalog.load())
        assert quotes.quote(one) == alone.quote(one)
        assert quotes.actual(one, usage) == alone.actual(one, usage)


@pytest.mark.parametrize("name", ["resolution", "size", "mode", "duration"])
def test_jobs_have_quotes_of_their_own_when_they_are_of_two_kinds(name: str) -> None:
    """A quote names the kind of its jobs, by which their durations are learned, whatever the price depends on."""
    quotes = Quoter(Catalog.load())
    jobs = [job(**{name: value}) for value in ("a", "b", 1, None)]
    assert [quotes.quote(one).kind for one in jobs] == [one.kind for one in jobs]


def test_the_longest_video_counts_when_the_length_is_left_open() -> None:
    """What is expected is the assumed length, and what counts against a cap is the longest one."""
    found = Quoter(Catalog.load()).quote(job())
    assert (found.seconds, found.longest) == (5000, 8000)
    assert (found.expected, found.worst) == (900_000, 1_440_000)


@pytest.mark.parametrize("duration", [-1, 0])
def test_a_length_is_open_when_its_number_leaves_it_to_the_model(tmp_path: Path, duration: int) -> None:
    """A length of -1 or 0 counts as the longest, never as less than nothing, and its price is unknown."""
    found = quoter(tmp_path, "type: integer, enum: [-1, 0, 5, 12]").quote(job("acme", {}, duration=duration))
    assert (found.seconds, found.longest) == (None, 12_000)
    assert (found.expected, found.worst, found.currency) == (None, None, "")


@pytest.mark.parametrize(
    ("duration", "worst"), [(2.5, 1_000_000_000_000), (2.500001, None), (10**18, None), (1e300, None)]
)
def test_the_price_is_unknown_when_it_is_beyond_all_reason(tmp_path: Path, duration: float, worst: int | None) -> None:
    """A million for one attempt is the most that is believed; more is a slip, which a budget refuses as unknown."""
    found = quoter(tmp_path, "type: number", "400000").quote(job("acme", {}, duration=duration))
    assert found.worst == worst
    assert worst is not None or found.note == "the price comes to more than 1,000,000, which is a slip"


def test_the_length_is_unknown_when_no_video_is_as_long(tmp_path: Path) -> None:
    """A day is the longest video that is believed; what is longer has no known length."""
    quotes = quoter(tmp_path, "type: number", "0.1")
    assert quotes.quote(job("acme", {}, duration=86_400)).longest == 86_400_000
    assert quotes.quote(job("acme", {}, duration=86_400.5)).longest is None


@pytest.mark.parametrize("entry", Catalog.load().entries, ids=lambda entry: entry.key)
def test_nothing_is_corrected_when_the_usage_is_no_sane_number(entry: Entry) -> None:
    """Whatever the service says, an attempt counts for nothing less and for nothing that the ledger cannot hold."""
    found, quotes = example_of(entry), Quoter(Catalog.load())
    given = job(found["model"], found.get("input", {}), **found.get("parameters", {}))
    by_the_video = quotes.actual(given, {"something": 1})
    for told in (0, -1, 2**53, 1e26, 1e308, 10**400, math.inf, math.nan, True, "5", None, [], {}):
        for name in ("duration", "completion_tokens"):
            assert quotes.actual(given, {name: told}) in (Actual(), by_the_video), (name, told)


def test_usage_is_believed_when_it_is_a_length() -> None:
    """Seven seconds at 0.18 are 1.26, and seven seconds are noted."""
    assert Quoter(Catalog.load()).actual(job(), {"duration": 7}) == Actual(1_260_000, 7000, "CNY")


def test_the_model_has_no_price_when_the_catalog_does_not_have_it() -> None:
    """A job of a ledger may be of a model that is known no more: its price is unknown, with the reason."""
    found = Quoter(Catalog.load()).quote(job("gone/model"))
    assert (found.expected, found.worst, found.longest) == (None, None, None)
    assert found.note == "the catalog does not have this request"

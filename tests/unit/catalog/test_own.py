"""A catalog of the user's own: merged onto ours by key, checked as ours is, with lines in what it says."""

import os
from decimal import Decimal

import pytest

from pipeline.catalog import Catalog, check_request, estimate, own
from pipeline.core.errors import SettingsError

VEO = "veo-3.1-generate-001"
PRICED = """\
date: 2026-11-20
models:
  - key: veo-3.1
    price:
      cases:
        - {when: [{path: parameters.resolution, equals: 4K}], unit: per_second, amount: 2.50}
        - {unit: per_second, amount: 0.1}
    parameters:
      - {path: parameters.resolution, type: string, enum: [720p, 1080p, 4K], default: 720p}
      - {path: parameters.style, type: string, enum: [on, 16:9, 2026-11-20]}
    rules:
      - {id: last-needs-first, level: warn, require: [input.image], when: [{path: input.last_frame, present: true}]}
"""
ADDED = """\
date: 2026-11-20
source: the console
media_limits: {small: {formats: [png], max_mb: 1}}
models:
  - key: acme
    ids: [acme/video-1, sora-2]
    kinds: [t2v]
    inputs: [{path: input.picture, type: string, required: true, media: {kind: image, forms: [url], limits: small}}]
    parameters: [{path: parameters.duration, type: integer, enum: [5, 10], default: 5}]
    price:
      currency: EUR
      cases: [{unit: per_video, table: {by: [parameters.duration], rows: {5: 1, 10: 1.9}}}]
    typical_seconds: {cases: [{seconds: 40}]}
"""


@pytest.fixture
def load(tmp_path):
    def loaded(text):
        path = tmp_path / "own.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Catalog.load(path)

    return loaded


def entry_of(catalog, model, parameters, **given):
    request = {"model": model, "input": given, "parameters": parameters}
    entry = catalog.entry_for(model, request)
    assert entry is not None
    return entry, request


def test_entry_is_changed_where_the_file_says_so_when_its_key_is_known(load):
    """Members of the file replace ours, rows of fields and rules by their name; the rest stays."""
    catalog = load(PRICED)
    entry, request = entry_of(catalog, VEO, {"resolution": "4K", "generate_audio": True}, prompt="p")
    assert check_request(entry, request) == []
    assert estimate(entry, request).worst == Decimal("20.0")
    assert (entry.price.as_of, entry.price.origin) == ("2026-11-20", "own.yaml")
    ours = Catalog.load().entry_for(VEO, request)
    assert ours is not None
    assert (len(entry.fields), len(entry.rules)) == (len(ours.fields) + 1, len(ours.rules))
    assert entry.rules[0].warning
    assert not ours.rules[0].warning


def test_words_stay_words_when_other_readers_would_see_numbers(load):
    """`on`, `16:9` and `2026-11-20` are the text that the author wrote, as in a manifest."""
    field = load(PRICED).field(VEO, "parameters.style")
    assert field is not None
    assert field.enum == ("on", "16:9", "2026-11-20")


def test_entry_is_added_when_its_key_is_new(load):
    """A model that nobody knew is checked and priced like ours, and is no longer said to be something else."""
    catalog = load(ADDED)
    entry, request = entry_of(catalog, "acme/video-1", {"duration": 10}, picture="https://example.com/a.png")
    assert check_request(entry, request) == []
    quote = estimate(entry, request)
    assert (quote.expected, quote.currency) == (Decimal("1.9"), "EUR")
    assert entry.typical_seconds_for(request) == 40
    assert entry.fields["input.picture"].media.limits.max_bytes == 1_000_000
    assert catalog.entry_for("sora-2", request) is entry
    assert catalog.resolve_column("picture") == "input.picture"


def test_own_entry_is_asked_first_when_it_shares_an_id_with_ours(load):
    """A new entry may take over a model id of ours."""
    catalog = load(ADDED.replace("acme/video-1, sora-2", "kling-v2-6"))
    entry, _ = entry_of(catalog, "kling-v2-6", {})
    assert entry.key == "acme"


def test_both_days_are_shown_when_prices_come_from_two_lists(load):
    """The catalog tells the day of each price list that it holds; a file without prices adds none."""
    assert load(PRICED).prices_as_of == "2026-03-24 and 2026-11-20 in own.yaml"
    assert load("date: 2026-11-20\nmodels: [{key: veo-3.1, notes: [x]}]").prices_as_of == "2026-03-24"


def test_shipped_catalog_is_untouched_when_an_own_one_is_loaded(load):
    """What one file changes is changed for those alone who load it."""
    before = Catalog.load()
    load(PRICED)
    assert Catalog.load() is before
    assert estimate(*entry_of(before, VEO, {})).expected is None


BROKEN = {
    "models: []": (1, "date"),
    "date: 2026-13-01\nmodels: []": (1, "'2026-13-01' is no day; write something like 2026-11-22"),
    "date: 2026-11-20\nmodels: []\nprizes: 1": (3, "prizes: no such member"),
    "[1]": (1, "must be a mapping"),
    "date: [": (1, "is not valid YAML"),
    "date: 2026-11-20\ndate: 2026-11-21": (2, "date is given twice"),
    "? [1]\n: 2": (1, "must be text"),
    "{}": (1, "date"),
    "date: 2026-11-20\nmodels: [" + "[" * 40 + "]" * 40 + "]": (2, "more than a catalog can have"),
    "date: 2026-11-20\nmodels: " + "[" * 5000: (1, "nested too deeply"),
    "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
    "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n"
    "e: [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]": (1, "more than a catalog can have"),
}


@pytest.mark.parametrize(("text", "said"), BROKEN.items(), ids=range(len(BROKEN)))
def test_line_is_told_when_the_file_is_no_catalog(load, text, said):
    """A file that cannot be a catalog is refused with its line, and never costs more than a moment."""
    with pytest.raises(SettingsError) as caught:
        load(text)
    line, words = said
    assert f"own.yaml:{line}: " in caught.value.message
    assert words in caught.value.message


WRONG = {
    "- {key: veo-3.1, prize: {}}": "veo-3.1: prize: no such member; did you mean price?",
    "- {key: veo-3.1, price: {unit: x}}": "veo-3.1: unit: price has no such member; it belongs to something else",
    "- {key: veo-3.1, price: {currency: cny}}": "expected str that is three capital letters, such as CNY",
    "- {key: veo-3.1, price: {cases: [{unit: per_video, amount: 1000000.01}]}}": "or more than 1,000,000",
    "- {key: veo-3.1, price: {cases: [{unit: per_video, amount: 'NaN'}]}}": "price: an amount is negative, no number",
    "- {key: veo-3.1, price: {cases: [{unit: per_video, amount: 1e999}]}}": "price: an amount is negative, no number",
    "- {key: veo-3.1, typical_seconds: {cases: [{seconds: -5}]}}": "seconds must be more than 0 and at most 1,000,000",
    "- {key: veo-3.1, typical_seconds: {cases: [{table: {by: [input.prompt], rows: {a: [1, 1e7]}}}]}}": "at most 1,000",
    "- {key: veo-3.1, parameters: [{path: parameters.x, type: array, min_items: 1001}]}": "min_items must be a number",
    "- {key: veo-3.1, parameters: [{path: parameters.x, type: array, min_items: 2, max_items: 1}]}": "above its max",
    "- {key: veo-3.1, parameters: [{path: parameters.x, type: string, min_length: -1}]}": "its min_length must be",
    "- {key: veo-3.1, headers: {Authorization: Bearer x}}": "headers: Authorization is not a catalog's to set",
    "- {key: veo-3.1, headers: {Content-Length: '1'}}": "headers: Content-Length is not a catalog's to set",
    '- {key: veo-3.1, headers: {X-A: "a\\r\\nHost: b"}}': "cannot be sent as a header",
    "- {key: nowhere, notes: [x]}": "nowhere: there is no entry of this key to change; a new one needs ids",
    "- {key: veo-3.1, price: {cases: [{unit: per_year, amount: 1}]}}": "price.cases[0].unit: invalid enum value",
    "- {key: veo-3.1, price: {cases: [{unit: per_video}]}}": "price: a case needs either an amount or a table",
    "- {key: veo-3.1, price: {cases: [{unit: per_video, amount: -1}]}}": "price: an amount is negative",
    "- {key: veo-3.1, price: {cases: [{unit: per_million_tokens, amount: 1}]}}": "needs token_estimate",
    "- {key: veo-3.1, price: {surcharges: [{unit: per_video, amount: -1}]}}": "price: an amount is negative",
    "- {key: veo-3.1, price: {cases: [{unit: per_video, table: {by: [parameters.duration, parameters.resolution], "
    "rows: {4: 1}}}]}}": "need 2 levels of names",
    "- {key: vidu-mv, price: {cases: [{unit: per_second, amount: 1}]}}": "needs a field parameters.duration",
    "- {key: veo-3.1, typical_seconds: {cases: [{}]}}": "a case needs either seconds or a table",
    "- {key: veo-3.1, rules: [{id: x, require: [input.promt]}]}": "did you mean input.prompt?",
    "- {key: veo-3.1, rules: [{id: x}]}": "rule x: it needs exactly one verb",
    "- {key: veo-3.1, rules: [{id: x, fire: false}]}": "fire can only be true",
    "- {key: veo-3.1, rules: [{id: x, fire: true, when: [{path: input.prompt}]}]}": "needs exactly one of equals, in",
    "- {key: veo-3.1, selector: [[{path: input.prompt, in: 5}]]}": "must be a list",
    "- {key: veo-3.1, parameters: [{path: input.prompt, type: string}]}": "begins with parameters.",
    "- {key: veo-3.1, parameters: [{path: parameters.x, type: integer, enum: [5, '6']}]}": "'6' is among its values",
    "- {key: veo-3.1, parameters: [{path: parameters.x, type: integer, min: 2, max: 1}]}": "min 2 is above its max 1",
    "- {key: veo-3.1, parameters: [{path: parameters.x, type: string, enum: [a], default: b}]}": "its default 'b'",
    "- {key: veo-3.1, inputs: [{path: input.x, type: string, media: {kind: image, forms: [url], limits: nil}}]}": (
        "media_limits has no nil"
    ),
    "- {key: veo-3.1, idempotency: {field: parameters.id}}": "idempotency: parameters.id is no field of the entry",
    "- {key: veo-3.1, inputs: [{path: input.x, type: object, fields: [{type: string}]}]}": "has no name",
    "- {key: veo-3.1}\n  - {key: veo-3.1}": "the key is given twice",
}


@pytest.mark.parametrize(("entry", "words"), WRONG.items(), ids=range(len(WRONG)))
def test_line_and_mend_are_told_when_an_entry_is_wrong(load, entry, words):
    """An entry is held to the same checks as ours, and what is wrong names its line and its key."""
    with pytest.raises(SettingsError) as caught:
        load(f"date: 2026-11-20\nmodels:\n  {entry}\n")
    line = 4 if "twice" in words else 3
    assert f"own.yaml:{line}: " in caught.value.message
    assert words in caught.value.message


def test_all_is_said_at_once_when_several_entries_are_wrong(load):
    """One look at the file tells what is wrong in each entry, with the line of the row at fault."""
    with pytest.raises(SettingsError) as caught:
        load(
            "date: 2026-11-20\nmodels:\n  - key: veo-3.1\n    prize: {}\n  - key: kling-video-o1\n    rules:\n"
            "      - {id: frames, fire: true}\n      - {id: x}\n"
        )
    lines = [line.rsplit("own.yaml:", 1)[1][:2] for line in caught.value.message.splitlines()]
    assert lines == ["4:", "8:"]


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"\xff\xfe", "not UTF-8"), (b"#" * 1_000_001, "larger than 1 MB")]
)
def test_sentence_is_said_when_there_is_no_readable_file(tmp_path, content, words):
    """A missing, foreign or enormous file ends in a sentence."""
    path = tmp_path / "own.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        Catalog.load(path)


def test_limit_is_the_largest_that_is_read_when_a_file_is_padded(load):
    """A file of exactly the limit is read."""
    head = b"date: 2026-11-20\nmodels: []\n"
    assert load(head + b"#" * (own.LARGEST_CATALOG - len(head))).models == Catalog.load().models


def test_sentence_is_said_when_the_file_is_no_regular_one(tmp_path):
    """A pipe that nobody writes to is not waited for, and a directory is no catalog."""
    os.mkfifo(tmp_path / "pipe.yaml")
    for path, words in ((tmp_path / "pipe.yaml", "it is no regular file"), (tmp_path, "it is a directory")):
        with pytest.raises(SettingsError, match=words):
            Catalog.load(path)

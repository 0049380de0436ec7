"""Templates: how `{name}` is found, looked up and written."""

import pytest

from pipeline.manifest.templates import (
    Scope,
    TemplateError,
    as_id,
    as_name,
    as_text,
    escaped,
    field_names,
    fill,
    pieces,
)
from pipeline.manifest.values import LONGEST_MEDIA

SCOPE = Scope(
    {
        "metadata": {"shot": 12, "film": {"name": "sea"}, "seed": "of the metadata", "list": [1], "none": None},
        "parameters": {"seed": 7, "resolution": "480P", "on": True},
        "input": {"prompt": "waves", "resolution": "of the input"},
    },
    {"style": "oil", "shot2": "{shot}"},
    {"length": "parameters.seed"},
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no field", "no field"),
        ("{style} {style}", "oil oil"),
        ("{metadata.shot}", "12"),
        ("{metadata.film.name}", "sea"),
        ("{shot}", "12"),
        ("{seed}", "of the metadata"),
        ("{parameters.seed}", "7"),
        ("{resolution}", "480P"),
        ("{prompt}", "waves"),
        ("{length}", "7"),
        ("{on}", "true"),
        ("{{shot}} {{{shot}}}", "{shot} {12}"),
        ("}}{{", "}{"),
        ("{shot2}", "{shot}"),
        ("🌊{style}🌊", "🌊oil🌊"),
    ],
)
def test_template_is_filled_when_each_name_has_a_value(template, text):
    """Own names come first, then metadata, parameters and input; braces in values are never looked at again."""
    assert fill(template, SCOPE, as_text) == text


@pytest.mark.parametrize(
    ("template", "mend"),
    [
        ("{styel}", "no field {styel} to fill in; did you mean style?"),
        ("{lenght}", "did you mean length?"),
        ("{metadata.shto}", "did you mean shot?"),
        ("{metadata.film.nam}", "did you mean name?"),
        ("{metadat.shot}", "did you mean metadata?"),
        ("{zzz}", "known are style, shot2, length, metadata.<field>"),
        ("{metadata}", "write {metadata.<field>}"),
        ("{metadata.shot.x}", "no field {metadata.shot.x}"),
        ("{metadata.list}", "a text or a number can"),
        ("{metadata.list.0}", "no field"),
        ("{none}", "a text or a number can"),
        ("{}", "no field {}"),
        ("{style!r}", "no field {style!r} to fill in; did you mean style?"),
        ("{style:>9}", "no field"),
        ("{style.__class__}", "no field"),
        ("{style[0]}", "no field"),
        ("{style", "a brace without its partner"),
        ("style}", "a brace without its partner"),
        ("{a{style}}", "a brace without its partner"),
    ],
)
def test_template_is_refused_when_it_asks_for_anything_but_a_value(template, mend):
    """Nothing is evaluated: no attribute, index, conversion or format; what is unknown gets the nearest name."""
    with pytest.raises(TemplateError) as caught:
        fill(template, SCOPE, as_text)
    assert mend in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text", "name", "job_id"),
    [
        ("a b", "a b", "a-b", "a-b"),
        (" a/b?", " a/b?", "a-b-", "a-b"),
        ("夜", "夜", "夜", "a519542a"),
        ("café 1", "café 1", "café-1", "caf-1-0a61b404"),
        ("", "", None, None),
        (" ", " ", None, None),
        ("///", "///", "-", "732c4e97"),
        (7, "7", "7", "7"),
        (-0.5, "-0.5", "-0.5", "-0.5"),
        (True, "true", "true", "true"),
        (None, None, None, None),
        ([1], None, None, None),
        ({}, None, None, None),
        (float("nan"), None, None, None),
        (float("inf"), None, None, None),
    ],
)
def test_value_is_written_as_its_place_takes_it_when_it_is_a_text_or_a_number(value, text, name, job_id):
    """Texts stay, names lose what no file name can have, ids keep plain characters or become a digest."""
    assert (as_text(value), as_name(value), as_id(value)) == (text, name, job_id)


def test_ids_differ_when_their_values_have_other_letters():
    """Letters that an id cannot have still tell ids apart."""
    assert len({as_id(text) for text in ("水墨", "油画", "ä", "ö", "caf", "café")}) == 6


def test_text_is_restored_when_its_escaped_form_is_filled():
    """Escaping makes a template of any text."""
    text = "{a}} {{ }"
    assert fill(escaped(text), SCOPE, as_text) == text
    assert field_names(escaped(text)) == []
    assert field_names("{a} {{b}} {c d} {") == ["a", "c d"]


@pytest.mark.parametrize("template", ["{style} {{", "x" * 5000 + "{style} {{"])
def test_pieces_are_the_same_when_a_template_is_too_long_to_be_remembered(template):
    """Long templates are taken apart like short ones."""
    *_, field, blank, brace = pieces(template)
    assert (field.text, field.is_field, blank.text, brace.text) == ("style", True, " ", "{")


def test_text_stays_bounded_when_a_value_is_repeated():
    """A text grows up to the longest media value; one character more is refused before it is put together."""
    scope = Scope({"metadata": {"x": "x" * 1_000_000}, "parameters": {}, "input": {}}, {})
    millions = LONGEST_MEDIA // 1_000_000
    assert len(fill("{x}" * millions, scope, as_text)) == LONGEST_MEDIA
    with pytest.raises(TemplateError, match="grows to more than 28 MB"):
        fill("{x}" * millions + "!", scope, as_text)

"""Text from outside on a screen."""

import os
import subprocess

import pytest

from pipeline.views.text import (
    clock,
    cut,
    folded,
    many,
    printable,
    rate,
    roughly,
    shell_word,
    shell_words,
    size,
    span,
)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\r\nb\tc\0", r"a\r\nb\tc\x00"),
        ("\u202egpj.exe\u2066x\u2069", r"\u202egpj.exe\u2066x\u2069"),
        ("\u200b\u2028\ufeff", r"\u200b\u2028\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
        ("\x7f", r"\x7f"),
    ],
)
def test_text_is_escaped_when_it_could_steer_a_terminal(hostile: str, shown: str) -> None:
    """Control characters, direction overrides, invisible marks and line separators are written as escapes."""
    assert printable(hostile) == shown


@pytest.mark.parametrize("text", ["plain words", "", "海边的日落", "👩\u200d🚀 flies", "مرحبا", "naïve é"])
def test_text_is_unchanged_when_it_is_harmless(text: str) -> None:
    """Every script, and joined emoji, are shown as they are."""
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "cells", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("日落日落", 8, "日落日落"),
        ("日落日落", 7, "日落日…"),
        ("日落日落", 6, "日落…"),
        ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
        ("ab", 1, "…"),
        ("ab", 0, ""),
        ("✈\ufe0f✈\ufe0f", 2, "✈\ufe0f✈\ufe0f"),
    ],
)
def test_text_is_cut_when_it_takes_one_cell_too_many(text: str, cells: int, expected: str) -> None:
    """The cut counts terminal cells, wide characters as two and combining ones as none."""
    assert cut(text, cells) == expected


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (3599, "59:59"), (3600, "1:00:00")]
)
def test_a_duration_reads_like_a_clock_when_it_is_live(seconds: float, shown: str) -> None:
    """Hours appear from the first one on."""
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_a_duration_reads_like_a_sentence_when_it_is_told(seconds: float, shown: str) -> None:
    """Units grow with the duration."""
    assert span(seconds) == shown


@pytest.mark.parametrize(("number", "shown"), [(0, "0 jobs"), (1, "1 job"), (1234, "1,234 jobs")])
def test_a_noun_agrees_when_it_is_counted(number: int, shown: str) -> None:
    """One is singular."""
    assert many(number, "job") == shown


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("  one two three", ["  one two", "    three"]),
        ("averyveryverylongword and", ["averyveryverylongword", "  and"]),
        ("北京 北京 北京", ["北京 北京", "  北京"]),
        ("", [""]),
    ],
)
def test_a_sentence_is_folded_between_words(text: str, lines: list[str]) -> None:
    """Ten cells a line, the following ones indented; a word alone may be longer."""
    assert folded(text, 10) == lines


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.2, "1 s"),
        (99.4, "99 s"),
        (100, "1 min 40 s"),
        (244, "4 min"),
        (246, "4 min 10 s"),
        (599, "10 min"),
        (1500, "25 min"),
        (7500, "2 h 5 min"),
        (47.9 * 3600, "47 h 54 min"),
        (50 * 3600, "2 d 2 h"),
    ],
)
def test_an_estimate_is_as_exact_as_it_deserves_when_it_is_told(seconds: float, shown: str) -> None:
    """The longer, the coarser; and never nothing."""
    assert roughly(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0 kB"), (51_200, "51 kB"), (2_440_000, "2.4 MB"), (1.1e9, "1.1 GB"), (2.5e12, "2.5 TB")],
)
def test_a_size_has_the_unit_that_fits_when_it_is_told(number: float, shown: str) -> None:
    """Two or three digits are enough."""
    assert size(number) == shown


@pytest.mark.parametrize(("number", "shown"), [(0, "0.0"), (0.417, "0.42"), (7.31, "7.3"), (1204.4, "1,204")])
def test_a_rate_has_the_digits_that_count_when_it_is_told(number: float, shown: str) -> None:
    """Slow rates keep two places, fast ones none."""
    assert rate(number) == shown


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("outputs/shots", "outputs/shots"),
        ("my shots", "'my shots'"),
        ("海/日.yaml", "'海/日.yaml'"),
        (os.fsdecode(b"caf\xe91"), r"$'caf\3511'"),
        ("it's\\ a\nline \x1b[2J", r"$'it\'s\\ a\012line \033[2J'"),
        ("\u202egpj", r"$'\342\200\256gpj'"),
    ],
)
def test_a_word_is_printable_and_the_same_for_a_shell_when_it_is_shown_in_a_command(text: str, word: str) -> None:
    """What is copied from a screen names the file that is meant, whatever it is called."""
    assert (shell_word(text), printable(word)) == (word, word)
    said = subprocess.run(["bash", "-c", f"printf %s {word}"], stdout=subprocess.PIPE, check=True).stdout
    assert said == os.fsencode(text)
    assert shell_words(["run", text]) == f"run {word}"

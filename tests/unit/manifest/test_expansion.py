"""The matrix by itself, and the seeds of takes."""

from typing import Any

import pytest

from pipeline.catalog import Catalog, Field
from pipeline.manifest.expansion import MOST_JOBS, Expander
from pipeline.manifest.matrix import MOST_KEYS, MOST_SHAPES, Matrix, MatrixReader
from pipeline.manifest.plain import is_plain
from pipeline.manifest.rows import BrokenFileError, Problems, Row
from pipeline.manifest.seeds import LARGEST_SEED, seeds_of

MODEL = "Wan-AI/Wan2.2-I2V"
SEED = Field("seed", "integer", min=0, max=9)


def read(raw: Any) -> tuple[Matrix | None, list[str]]:
    """The matrix with every name a variable, and what was complained about."""
    found: list[str] = []
    reader = MatrixReader(lambda name: name, lambda path, text: found.append(f"{path}: {text}"), lambda path: 1)
    return reader.read(raw), found


def variants(raw: Any) -> list[dict[str, Any]]:
    """The values of each combination."""
    matrix, found = read(raw)
    assert matrix, found
    return [{key: cell.value for key, cell in variant.items()} for variant in matrix.variants()]


def expanded(values: dict[str, Any], defaults: dict[str, Any] | None = None) -> tuple[list[Row], Problems]:
    """The rows that one row stands for."""
    problems = Problems("f")
    expander = Expander(Row(1, defaults or {}), Catalog.load(), problems, MODEL)
    return list(expander.rows([Row(2, values)])), problems


def test_combinations_are_all_there_when_lists_are_multiplied():
    """The last list changes fastest."""
    assert variants({"a": [1, 2], "b": ["x", "y"]}) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_include_adds_or_makes_combinations_when_it_is_given():
    """The example of GitHub's own documentation gives what it gives there."""
    raw = {
        "fruit": ["apple", "pear"],
        "animal": ["cat", "dog"],
        "include": [
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    }
    assert variants(raw) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_exclude_takes_combinations_away_when_part_of_them_agrees():
    """An entry of `exclude` need not name every key, and `include` comes after it."""
    raw = {"a": [1, 2], "b": [3, 4], "exclude": [{"a": 1}], "include": [{"a": 1, "b": 3}]}
    assert variants(raw) == [{"a": 2, "b": 3}, {"a": 2, "b": 4}, {"a": 1, "b": 3}]


def test_include_alone_makes_the_combinations_when_there_is_no_list():
    """A matrix may be nothing but the entries of `include`."""
    assert variants({"include": [{"a": 1}, {"a": 2, "b": 3}]}) == [{"a": 1}, {"a": 2, "b": 3}]


def test_values_are_compared_with_their_types_when_they_look_alike():
    """The number 1, the text 1, true and 1.0 are four values."""
    assert len(variants({"a": [1, "1", True, 1.0], "exclude": [{"a": "1"}]})) == 3


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({}, "matrix: is empty"),
        ([], "matrix: must be a mapping of names to lists, not an array of 0"),
        ({"a": 5}, "matrix.a: must be a list of values, not 5; write them in brackets: [5]"),
        ({"a": []}, "matrix.a: is empty; write them in brackets: [a, b]"),
        ({"a": [1, 2, 1]}, "matrix.a.2: 1 is listed twice; keep one"),
        ({"a": [1], "exclude": {"a": 1}}, "matrix.exclude: must be a list of mappings"),
        ({"a": [1], "exclude": [1]}, "matrix.exclude.0: must be a mapping"),
        ({"a": [1], "include": [{}]}, "matrix.include.0: must be a mapping"),
        ({"abc": [1], "exclude": [{"abd": 1}]}, "matrix.exclude.0.abd: the matrix has no such list; did you mean abc?"),
        ({"a": ["oil"], "exclude": [{"a": "oli"}]}, "'oli' is none of the listed values; did you mean oil?"),
        ({"a": [1], "exclude": [{"a": "1"}]}, "matrix.exclude.0.a: '1' is none of the listed values"),
        ({f"a{n}": [1] for n in range(MOST_KEYS + 1)}, "matrix: has 101 names; the most is 100"),
        ({"x": [1], "include": [{f"a{n}": 1} for n in range(MOST_SHAPES + 1)]}, "names more than 50 different sets"),
    ],
)
def test_matrix_is_refused_when_it_is_not_lists_of_values(raw, complaint):
    """Each mistake in a matrix is named where it stands, with its mend."""
    matrix, found = read(raw)
    assert matrix is None
    assert complaint in "\n".join(found)


def test_matrix_is_taken_when_it_is_as_large_as_it_may_be():
    """The most names and the most sets of keys are still a matrix."""
    assert len(variants({f"a{n}": [1] for n in range(MOST_KEYS)})) == 1
    assert len(variants({"x": [1], "include": [{"x": 2, f"a{n}": 1} for n in range(MOST_SHAPES)]})) == 51


def test_combinations_are_not_multiplied_out_when_nobody_asks():
    """The number of combinations is known without making one, and the first comes at once."""
    matrix, _ = read({f"a{n}": list(range(10)) for n in range(12)})
    assert matrix
    assert matrix.most == 10**12
    assert len(next(matrix.variants())) == 12


def request(**parameters: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": {"prompt": "x"}, "parameters": parameters}


def test_seeds_count_on_when_the_job_has_one():
    """The first take has the job's own seed; after the highest seed comes the lowest."""
    seeds = seeds_of(request(seed=8), SEED, {})
    assert seeds
    assert [seeds.of(take) for take in range(1, 6)] == [8, 9, 1, 2, 3]
    assert seeds.distinct == 9


@pytest.mark.parametrize("given", [{}, {"seed": -1}])
def test_seeds_come_from_the_job_when_it_has_none(given):
    """They are the same in every run, others for another job, distinct, and never one that means "any"."""
    seeds = [seeds_of(request(**given), SEED, {"style": style}) for style in ("oil", "oil", "photo", "ink", "wax")]
    assert seeds[0] == seeds[1]
    assert len({one.first for one in seeds if one}) > 1
    assert {seeds[0].of(take) for take in range(1, 10)} == set(range(1, 10))


@pytest.mark.parametrize(
    ("described", "given"), [(None, {}), (SEED, {"seed": "x"}), (SEED, {"seed": True}), (SEED, {"seed": 10})]
)
def test_there_are_no_seeds_when_the_model_or_the_job_has_no_fit_one(described, given):
    """What the job says stays for the check of the request to judge."""
    assert seeds_of(request(**given), described, {}) is None


def test_seeds_have_31_bits_when_the_model_names_no_limit():
    """Models without a range get seeds that every service takes."""
    seeds = seeds_of(request(), Field("seed", "integer"), {})
    assert seeds
    assert (seeds.low, seeds.high) == (1, LARGEST_SEED)


@pytest.mark.parametrize(
    "values",
    [
        {
            "id": "a",
            "output": "{id}",
            "input": {"prompt": "x}", "images": ["a", {"b": 1}], "n": 1},
            "metadata": {"x": "{"},
        },
        {"input": None},
        {"input": "{text}"},
        {},
    ],
)
def test_row_is_handed_on_untouched_when_nothing_is_to_be_expanded(values):
    """Only braces in the id and under `input`, `matrix` and `repeat` make a row worth a look."""
    row = Row(2, values)
    assert is_plain(values)
    assert next(Expander(None, Catalog.load(), Problems("f"), MODEL).rows([row])) is row


@pytest.mark.parametrize(
    "values", [{"matrix": None}, {"repeat": 1}, {"id": "{a}"}, {"input": {"images": [{"b": "{a}"}]}}]
)
def test_row_is_looked_at_when_something_may_be_to_expand(values):
    """A brace at any depth of `input` counts."""
    assert not is_plain(values)


def test_rows_come_one_by_one_when_a_sweep_is_large():
    """A sweep of the largest size gives its first jobs at once; nothing is kept."""
    side = [f"v{n}" for n in range(3162)]
    values = {"id": "{a}-{b}", "input": {"prompt": "{a} {b}"}, "matrix": {"a": side, "b": side}}
    rows = Expander(None, Catalog.load(), Problems("f"), MODEL).rows([Row(2, values)])
    ids = [next(rows).values["id"] for _ in range(3)]
    assert ids == ["v0-v0", "v0-v1", "v0-v2"]


@pytest.mark.parametrize(
    ("sweep", "path"),
    [
        ({"matrix": {"a": list(range(1000)), "b": list(range(1000)), "c": list(range(11))}}, "matrix"),
        ({"repeat": MOST_JOBS + 1}, "repeat"),
        ({"matrix": {"a": [1, 2, 3]}, "repeat": MOST_JOBS // 2}, "matrix"),
        ({"matrix": {f"a{n}": list(range(190)) for n in range(100)}}, "matrix"),
    ],
)
def test_sweep_is_refused_when_it_makes_too_many_jobs(sweep, path):
    """Ten million jobs are the most that one manifest may ask for; the number is said, and no job is made."""
    text = "".join(f"{{{name}}}" for name in sweep.get("matrix", {}))
    rows, problems = expanded({"input": {"prompt": text}, **sweep})
    assert rows == []
    (found,) = problems.error().problems
    assert found.path == path
    assert "the sweeps of one manifest may make 10 million in all" in found.message


def test_sweeps_are_counted_together_when_a_file_has_several():
    """The limit holds for the file: a second sweep beyond it is refused."""
    problems = Problems("f")
    expander = Expander(None, Catalog.load(), problems, MODEL)
    rows = expander.rows([Row(2, {"repeat": MOST_JOBS}), Row(3, {"repeat": 1})])
    assert next(rows).line == 2
    assert list(expander.expanded(Row(3, {"repeat": 1}))) == []
    assert [one.line for one in problems.error().problems] == [3]


def test_file_is_given_up_when_a_sweep_grows_beyond_a_gigabyte():
    """What a sweep adds up to is bounded as what aliases and `defaults` add up to."""
    values = {"input": {"prompt": "{v}" * 27}, "metadata": {"v": "x" * 1_000_000}, "repeat": 100}
    with pytest.raises(BrokenFileError, match="comes to more than 10 million values or 1 GB of text"):
        for _ in Expander(None, Catalog.load(), Problems("f"), MODEL).rows([Row(2, values)]):
            pass


def test_row_is_refused_when_its_texts_grow_too_long_together():
    """The texts of one job are bounded as they are in a file."""
    values = {"input": {"images": ["{v}" * 27] * 4}, "metadata": {"v": "x" * 1_000_000}}
    (row,), problems = expanded(values)
    assert not row.sound
    assert "longer than 64 million characters" in str(problems.error())
    assert len(row.values["input"]["images"][3]) == 81


def test_row_is_refused_when_it_is_nested_too_deeply():
    """Depth is bounded before anything walks into it."""
    deep: Any = "x"
    for _ in range(32):
        deep = [deep]
    assert expanded({"input": {"a": "{b}"}, "metadata": {"b": 1}, "matrix": None})[1].total == 0
    rows, problems = expanded({"input": {"prompt": "x"}, "matrix": {"a": [deep]}})
    assert rows == []
    assert "matrix: is nested deeper than 32 levels" in str(problems.error())

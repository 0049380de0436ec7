"""Values: frozen, compared by their fields, and taken for data classes by whoever deals with those."""

import copy
import dataclasses
import pickle
import pprint
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from pipeline.core.values import Value, made


class Point(Value):
    """Two numbers, and what was said of them."""

    x: int
    y: int = 2
    said: Mapping[str, Any] = made(default_factory=dict)

    @property
    def sum(self) -> int:
        return self.x + self.y


class Named(Point):
    """A point with a name."""

    name: str = "p"


class Asked(Value, kw_only=True):
    """What is only ever named."""

    what: str
    times: int = 1


class Nothing(Value):
    """No field at all."""


def test_fields_are_taken_by_place_and_by_name_when_a_value_is_made() -> None:
    """A value is made as a data class is, those fields first that stand in the class above."""
    assert (Point(1).x, Point(1).y, Point(1).said) == (1, 2, {})
    assert Named(1, 3, {}, "q") == Named(x=1, y=3, said={}, name="q")
    assert Point(1, 3).sum == 4


@pytest.mark.parametrize("above_first", [True, False])
def test_a_value_has_the_fields_of_its_own_class_when_one_of_a_class_above_is_made(above_first: bool) -> None:
    """What the first value of a class prepares is for that class alone."""

    class Above(Value):
        x: int

    class Below(Above):
        y: int = 2

    made_above = [Above(1)] if above_first else []
    assert (Below(1), Below(1, 3).y, type(Below(1))) == (Below(x=1, y=2), 3, Below)
    assert [Above(1), type(Above(1))] == [*(made_above or [Above(x=1)]), Above]
    with pytest.raises(TypeError):
        Above(1, 2)  # type: ignore[call-arg]


def test_a_default_is_made_anew_when_it_has_a_factory() -> None:
    """Two values never share what one of them could change."""
    assert Point(1).said is not Point(1).said


@pytest.mark.parametrize("wrong", [lambda: Point(), lambda: Point(1, z=3), lambda: Asked("what")])  # type: ignore[call-arg, misc]
def test_a_value_is_refused_when_its_fields_are_not_those_of_its_class(wrong: Any) -> None:
    """A missing field, an unknown one, and one by place where only names count are mistakes."""
    with pytest.raises(TypeError, match=r"(Point|Asked)\.__init__"):
        wrong()


def test_values_are_equal_when_class_and_fields_are() -> None:
    """Neither a value of a class below nor a tuple of the same things is equal to it."""
    assert Point(1) == Point(1, 2)
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert Point(1) != (1, 2, {})
    assert Nothing() == Nothing()


def test_values_are_one_key_when_they_are_equal() -> None:
    """They count in dictionaries by what they hold."""
    assert {Asked(what="a"): 1}[Asked(what="a", times=1)] == 1
    assert len({Asked(what="a"), Asked(what="b"), Nothing(), Nothing()}) == 3


def test_a_value_refuses_when_it_would_be_changed() -> None:
    """A change makes a new value."""
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    with pytest.raises(AttributeError):
        point.other = 2  # type: ignore[attr-defined]
    assert point == Point(1)


def test_a_value_shows_its_fields_when_it_is_printed() -> None:
    """A failed test says which field differs."""
    assert repr(Named(1)) == "Named(x=1, y=2, said={}, name='p')"


@pytest.mark.parametrize("value", [Point(1), Named(1, name="q"), Asked(what="a"), Nothing()])
def test_a_copy_is_equal_when_a_value_is_copied(value: Any) -> None:
    """Pickled, copied flat or deep, or replaced with nothing changed."""
    assert copy.copy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value
    assert dataclasses.replace(value) == value


def test_dataclasses_take_a_value_for_their_own_when_they_are_asked() -> None:
    """Those who replace fields or walk over them need not know how a class was made."""
    assert dataclasses.is_dataclass(Point)
    assert [field.name for field in dataclasses.fields(Named)] == ["x", "y", "said", "name"]
    assert dataclasses.replace(Point(1), y=5) == Point(1, 5)
    assert dataclasses.asdict(Asked(what="a")) == {"what": "a", "times": 1}


def test_a_value_is_shown_as_itself_when_it_is_printed_prettily() -> None:
    """`pprint`, and pytest with it, look at how a data class was made."""
    assert pprint.pformat([Point(1), Asked(what="a")]) == "[Point(x=1, y=2, said={}), Asked(what='a', times=1)]"


def test_msgspec_reads_what_it_has_written_when_it_meets_a_value() -> None:
    """The ledger keeps values as JSON."""
    written = msgspec.json.encode(Named(1, said={"a": 1}))
    assert written == b'{"x":1,"y":2,"said":{"a":1},"name":"p"}'
    assert msgspec.json.decode(written, type=Named) == Named(1, said={"a": 1})
    assert msgspec.json.decode(b'{"x":1}', type=Point) == Point(1)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"x":"one"}', type=Point)


def test_fields_are_matched_by_place_when_a_pattern_names_them() -> None:
    """`case Point(x, y)` works as with a data class."""
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)


def test_no_data_class_is_needed_when_values_are_made_and_compared() -> None:
    """Whoever only uses values does not wait for the machinery that they stand in for."""
    code = (
        "import sys; from pipeline.core.jobs import Job, Source\n"
        "job = Job('a', 'd', 'm', {}, {}, 'a.mp4', Source('f', 1))\n"
        "print(job == job, 'dataclasses' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True", "False"]

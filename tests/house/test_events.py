"""docs/events.md names every event of the JSON log with every fact, and every reason to stop."""

import ast
import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import events
from pipeline.views.log import JsonLog, Level, as_json
from tests.house.pages import ROOT, rows

PAGE = "docs/events.md"
TABLE = {row[0].strip("`"): row[2] for row in rows(PAGE, "event")}


KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
KINDS.remove(events.Event)
"""Every kind of event."""


def sample(hint: Any) -> Any:
    """Some value of a type; what may be None is there."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return sample(next(one for one in arguments if one is not type(None)))
    if origin is tuple:
        return (sample(arguments[0]),)
    if origin is not None and issubclass(origin, Mapping):
        return {sample(arguments[0]): sample(arguments[1])}
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{field.name: sample(hints[field.name]) for field in dataclasses.fields(hint)})  # type: ignore[operator]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    return {str: "x", object: "x", Any: "x"}.get(hint) or hint(1)


def facts(kind: type[events.Event]) -> dict[str, Any]:
    """What the JSON log says of such an event."""
    return json.loads(as_json(sample(kind)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_is_documented_when_the_log_can_tell_it(kind: type[events.Event]) -> None:
    """It has a name of its own, and a row with each of its facts."""
    told = facts(kind)
    name = told.pop("event")
    assert name != "other"
    assert name in TABLE
    assert {key for key in told if key != "time" and f"`{key}`" not in TABLE[name]} == set()


def test_a_warning_is_documented_when_the_log_tells_one() -> None:
    """It is no event of the engine, but a line like the others."""
    lines: list[str] = []
    JsonLog(lines.append, Level.EVERYTHING).warn("careful")
    told = json.loads(lines[0])
    assert told.keys() == {"event", "time", "message"}
    assert "`message`" in TABLE[told["event"]]


def test_every_row_stands_for_an_event_when_the_log_changes() -> None:
    """An event that is gone leaves the page too."""
    assert TABLE.keys() == {facts(kind)["event"] for kind in KINDS} | {"warning"}


def reasons() -> set[str]:
    """The first word of every `Stop` that the engine and the shell make, or that a `Complaint` becomes."""
    found = set()
    for path in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
            made = isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Stop", "Complaint"}
            asked = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "stop"
            if (made or asked) and node.args and isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
    return found


def test_every_reason_is_documented_when_a_run_can_stop() -> None:
    """Neither more nor less, each with the exit code that it leads to."""
    table = {row[0].strip("`"): row[2] for row in rows(PAGE, "reason")}
    assert table.keys() == reasons()
    assert {reason for reason, code in table.items() if code == "4"} == {"refused"}
    assert set(table.values()) == {"3", "4"}

"""Which event loop a command runs on."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import uvloop

from pipeline.event_loop import TRUSTED, loop_factory

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def named(version: str | None) -> ModuleType:
    """A library of that name, and of a version if it has one."""
    made = ModuleType("uvloop")
    made.new_event_loop = uvloop.new_event_loop  # type: ignore[attr-defined]
    if version is not None:
        made.__version__ = version  # type: ignore[attr-defined]
    return made


def test_uvloop_is_taken_when_it_is_there() -> None:
    """The extra is used by whoever has installed it."""
    assert loop_factory("auto") is uvloop.new_event_loop


def test_the_own_loop_is_taken_when_somebody_wants_it() -> None:
    """A person can leave an installed uvloop aside."""
    assert loop_factory("standard") is None


@pytest.mark.parametrize("version", ["0.23.0", "0.23.0rc1", "0.100", "1.0"])
def test_a_uvloop_is_taken_when_it_is_new_enough(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """From the first version that cannot close a stranger's connection."""
    monkeypatch.setitem(sys.modules, "uvloop", named(version))
    assert loop_factory("auto") is uvloop.new_event_loop


@pytest.mark.parametrize(
    "found",
    [None, named("0.22.1"), named("0.9.9"), named("1"), named("dev"), named(None), ModuleType("uvloop")],
    ids=["absent", "old", "very old", "one number", "no number", "no version", "empty"],
)
def test_the_own_loop_is_taken_when_uvloop_cannot_be_trusted(
    monkeypatch: pytest.MonkeyPatch, found: ModuleType | None
) -> None:
    """An answer that meets the wrong request would be somebody's money: no other version carries paid requests."""
    monkeypatch.setitem(sys.modules, "uvloop", found)
    assert loop_factory("auto") is None


def test_the_extra_brings_a_version_that_is_used_when_it_is_installed() -> None:
    """What is installed to be faster is not left aside."""
    floor = re.search(r'"uvloop>=(\d+)\.(\d+);', PROJECT.read_text())
    assert floor
    assert (int(floor[1]), int(floor[2])) == TRUSTED

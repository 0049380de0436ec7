"""The house as data: which module stands in which layer, and which library may be used in which room."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pipeline"

LAYERS = {
    "pipeline.core": 0,
    "pipeline.settings": 1,
    "pipeline.manifest": 1,
    "pipeline.catalog": 1,
    "pipeline.modelverse": 1,
    "pipeline.engine.schedule": 1,
    "pipeline.engine.learned": 1,
    "pipeline.engine.durations": 1,
    "pipeline.engine.lateness": 1,
    "pipeline.engine.backoff": 1,
    "pipeline.engine.slots": 1,
    "pipeline.engine.ceiling": 1,
    "pipeline.engine.order": 1,
    "pipeline.engine.pace": 1,
    "pipeline.engine.patience": 1,
    "pipeline.engine.health": 1,
    "pipeline.engine.figures": 1,
    "pipeline.engine.budget": 1,
    "pipeline.engine.due": 1,
    "pipeline.modelverse.client": 2,
    "pipeline.ledger": 2,
    "pipeline.videos": 2,
    "pipeline.folder": 2,
    "pipeline.engine": 3,
    "pipeline.plan": 3,
    "pipeline.views": 4,
    "pipeline.beside": 5,
    "pipeline.api": 5,
    "pipeline.decide": 5,
    "pipeline.event_loop": 5,
    "pipeline.foreground": 5,
    "pipeline.cli": 5,
    "pipeline.__main__": 5,
    "pipeline": 5,
}
"""The longest name that a module's name begins with decides. The packages' own `__init__` files only hand names on."""

EDGES = 2
"""The rooms of this layer touch the outside, each its own part of it, and never import one another."""

OUTSIDE = "pipeline.emulator"
MAY_IMPORT_OUTSIDE = {"pipeline.api", "pipeline.cli.emulator"}

LIBRARIES = {
    "aiohttp": (
        *("pipeline.modelverse.client", "pipeline.modelverse.lines", "pipeline.videos", "pipeline.emulator"),
        *("pipeline.views.notify", "pipeline.views.watch"),
    ),
    "yarl": ("pipeline.modelverse.client", "pipeline.modelverse.lines", "pipeline.videos"),
    "aiofiles": ("pipeline.modelverse.pictures",),
    "sqlite3": ("pipeline.ledger",),
    "yaml": ("pipeline.manifest", "pipeline.catalog", "pipeline.settings", "pipeline.emulator"),
    "msgspec": (
        *("pipeline.settings", "pipeline.modelverse", "pipeline.ledger", "pipeline.videos", "pipeline.api"),
        *("pipeline.emulator", "pipeline.catalog", "pipeline.manifest", "pipeline.views.report"),
        "pipeline.cli.small",
    ),
    "click": ("pipeline.cli",),
    "rich": ("pipeline.views",),
    "jinja2": ("pipeline.views.report",),
    "filelock": ("pipeline.folder",),
    "uvloop": ("pipeline.event_loop",),
    "imagesize": ("pipeline.manifest.media",),
    "prometheus_client": ("pipeline.views.metrics",),
    "apprise": ("pipeline.views.notify",),
    "av": ("pipeline.emulator",),
    "PIL": ("pipeline.emulator",),
}
"""Every library that is not the standard library's, and `sqlite3`: the rooms that it lives in."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports(name: str) -> frozenset[str]:
    """What a module imports anywhere in it, in functions and under TYPE_CHECKING too; ours down to the module."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            assert node.module
            found |= {_deepest(f"{node.module}.{alias.name}", node.module) for alias in node.names}
    return frozenset(found)


def _deepest(submodule: str, module: str) -> str:
    return submodule if submodule in MODULES else module


def room(name: str) -> str:
    """The entry of the table that a module falls under."""
    return max((entry for entry in LAYERS if name == entry or name.startswith(f"{entry}.")), key=len)


def inside(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == entry or name.startswith(f"{entry}.") for entry in rooms)


def arrows() -> Iterator[tuple[str, str]]:
    """Every import of one of our modules by another; the package's version is a word that everybody may read."""
    for name in MODULES:
        for target in imports(name):
            if inside(target, ("pipeline",)) and target != "pipeline":
                yield name, target


@pytest.mark.parametrize("name", [name for name in MODULES if not inside(name, (OUTSIDE,))])
def test_a_module_imports_only_from_lower_layers_when_it_imports(name: str) -> None:
    """No import points upward, and the rooms at the edges do not know each other."""
    for target in imports(name):
        if target == "pipeline" or not inside(target, ("pipeline",)) or inside(target, (OUTSIDE,)):
            continue
        ours, theirs = LAYERS[room(name)], LAYERS[room(target)]
        assert theirs <= ours, f"{name} (layer {ours}) imports {target} (layer {theirs})"
        if ours == theirs == EDGES:
            assert room(name) == room(target), f"two edges touch: {name} imports {target}"


def test_the_emulator_knows_only_the_words_when_it_is_outside() -> None:
    """If both sides shared one reading of the wire, a wrong belief would pass every test."""
    for name, target in arrows():
        if inside(name, (OUTSIDE,)):
            assert inside(target, (OUTSIDE, "pipeline.core")), f"{name} imports {target}"
        elif inside(target, (OUTSIDE,)):
            assert name in MAY_IMPORT_OUTSIDE, f"{name} imports {target}"


@pytest.mark.parametrize("name", MODULES)
def test_a_library_stays_in_its_room_when_it_is_imported(name: str) -> None:
    """Each library lives behind the rooms of the table, and `core` uses the standard library alone."""
    for target in imports(name):
        library = target.partition(".")[0]
        if library == "pipeline" or (library in sys.stdlib_module_names and library not in LIBRARIES):
            continue
        assert library in LIBRARIES, f"{name} imports {library}, which has no room"
        assert inside(name, LIBRARIES[library]), f"{name} imports {library}"


@pytest.mark.parametrize("name", MODULES)
def test_only_the_command_line_prints_when_something_is_said(name: str) -> None:
    """Standard output belongs to the command line."""
    if inside(name, ("pipeline.cli",)):
        return
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.Name) and node.id == "print"), f"{name}:{node.lineno} prints"
        assert not (isinstance(node, ast.Attribute) and node.attr == "stdout"), f"{name}:{node.lineno} uses stdout"


def test_imports_form_no_cycle_when_followed() -> None:
    """No module is reached again from what it imports."""
    following: dict[str, set[str]] = {name: set() for name in MODULES}
    for name, target in arrows():
        following[name].add(target)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for target in sorted(following[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


def test_every_entry_of_the_tables_stands_for_something_when_the_house_changes() -> None:
    """A room that is gone leaves the tables too."""
    for entry in LAYERS:
        assert entry in MODULES, entry
    for library, rooms in LIBRARIES.items():
        for entry in rooms:
            users = [name for name in MODULES if inside(name, (entry,)) and _uses(name, library)]
            assert users, f"nobody in {entry} uses {library}"


def _uses(name: str, library: str) -> bool:
    return any(target.partition(".")[0] == library for target in imports(name))

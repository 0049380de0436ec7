"""What a command may import before it does anything."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cli.grammar import cli
from pipeline.ledger import Ledger

HEAVY = (
    *("aiohttp", "uvloop", "rich", "jinja2", "av", "PIL"),
    *("pipeline.engine.batch", "pipeline.modelverse", "pipeline.videos"),
)
SLOW = (
    "asyncio",
    "concurrent.futures",
    "email",
    "http",
    "importlib.metadata",
    "logging",
    "socket",
    "ssl",
    "subprocess",
)
"""Parts of the standard library that cost a tenth of a bare interpreter's start or more, and are easily drawn in."""
WORDS = {
    "pipeline.__main__",
    "pipeline.cli.words",
    "pipeline.core.errors",
    "pipeline.core.values",
    "pipeline.core.words",
    "pipeline.views.text",
}
GRAMMAR = WORDS | {"pipeline.cli.grammar"}
LOOKED_UP = WORDS | {
    "pipeline.cli.small",
    "pipeline.core.clock",
    "pipeline.core.jobs",
    "pipeline.core.money",
    "pipeline.folder",
}
OVERVIEW = {f"pipeline.ledger.{name}" for name in ("faults", "overview", "schema")}
PARSERS = {"click", "inspect", "typing_extensions"}
"""The parser of command lines, and what it and msgspec draw in to read signatures."""
LIBRARIES = (
    *PARSERS,
    "dataclasses",
    "hashlib",
    "json",
    "msgspec",
    "pathlib",
    "urllib.parse",
    "yaml",
    "sqlite3",
    "filelock",
    "imagesize",
    *HEAVY,
    *SLOW,
)
JOB = '{"id": "a", "input": {"image_url": "https://example.com/a.jpg", "prompt": "p"}}'
MANIFESTS = {
    "m.jsonl": f"{JOB}\n",
    "m.yaml": f"version: 1\njobs:\n  - {JOB}\n",
    "m.csv": "id,image_url,prompt\na,https://example.com/a.jpg,p\n",
}
SNIPPET = """
import sys
from pipeline.cli import main
try:
    main()
finally:
    print(*(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
"""


def imported(folder: Path, *arguments: str, code: int = 0, heavy: tuple[str, ...] = HEAVY) -> str:
    """The heavy modules that the command has imported when it ends."""
    command = [sys.executable, "-c", SNIPPET.format(heavy=heavy), *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    return ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in cli.commands)])
def test_no_heavy_library_is_imported_when_help_is_asked_for(tmp_path: Path, arguments: list[str]) -> None:
    """Help starts without the HTTP library, the terminal library, or the engine, for every command."""
    assert imported(tmp_path, *arguments) == ""


@pytest.mark.parametrize("name", [name for name in ("validate", "plan") if name in cli.commands])
@pytest.mark.parametrize("manifest", MANIFESTS)
def test_no_heavy_library_is_imported_when_a_manifest_is_looked_at(tmp_path: Path, name: str, manifest: str) -> None:
    """A manifest is checked without the HTTP library, the terminal library, or the engine, whatever its form."""
    (tmp_path / manifest).write_text(MANIFESTS[manifest])
    assert imported(tmp_path, name, manifest) == ""


@pytest.mark.parametrize("name", ["validate", "plan"])
@pytest.mark.parametrize("manifest", ["m.jsonl", "m.csv"])
def test_yaml_is_not_imported_when_the_manifest_is_not_written_in_it(tmp_path: Path, name: str, manifest: str) -> None:
    """A tenth of the start goes to a library that only one of the three formats needs."""
    (tmp_path / manifest).write_text(MANIFESTS[manifest])
    assert imported(tmp_path, name, manifest, heavy=("yaml",)) == ""


@pytest.mark.parametrize("name", ["status", "results"])
async def test_no_heavy_library_is_imported_when_a_batch_is_looked_at(tmp_path: Path, name: str) -> None:
    """A ledger is read without the HTTP library, the terminal library, or the engine."""
    async with await Ledger.open(tmp_path, run_id="r", at=time.time()):
        pass
    assert imported(tmp_path, name, ".") == ""


def test_no_heavy_library_is_imported_when_a_folder_holds_no_batch(tmp_path: Path) -> None:
    """A wrong folder is refused as lightly."""
    assert imported(tmp_path, "status", ".", code=2) == ""


COLLECTING = """
import gc, sys
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase) if phase == "start" else None)
from pipeline.__main__ import main
try:
    main(leave=sys.exit)
finally:
    print(len(collections), gc.get_freeze_count() > 0)
"""


ALL = """
import sys
from pipeline.__main__ import main
try:
    main(leave=sys.exit)
finally:
    print(*sys.modules, file=sys.stderr)
"""


def everything_imported(folder: Path, *arguments: str) -> tuple[set[str], set[str]]:
    """Our modules (without packages that only hold others), and those libraries that cost something."""
    command = [sys.executable, "-c", ALL, *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    names = set(ended.stderr.splitlines()[-1].split())
    packages = {name.rpartition(".")[0] for name in names}
    ours = {name for name in names - packages if name.startswith("pipeline.")}
    return ours, names & set(LIBRARIES)


def inside(module: str, room: str) -> bool:
    """Whether the module stands in this room of the package."""
    return module.startswith(f"pipeline.{room}.")


def rooms(modules: set[str]) -> set[str]:
    """What stands one level below the package."""
    return {name.split(".")[1] for name in modules}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_nothing_but_words_is_imported_when_help_is_asked_for(tmp_path: Path, arguments: list[str]) -> None:
    """Help needs the command line, its errors and how text is shown: no command, no room, no library but one."""
    ours, libraries = everything_imported(tmp_path, *arguments)
    assert (ours, libraries - PARSERS) == (GRAMMAR, set())


@pytest.mark.parametrize("name", cli.commands)
def test_no_other_command_is_imported_when_one_is_asked_for_help(tmp_path: Path, name: str) -> None:
    """Its own options are made, and none of another command's."""
    ours, libraries = everything_imported(tmp_path, name, "--help")
    shared = {f"pipeline.cli.{shared}" for shared in ("conducting", "options", "shell", "small")}
    assert ours - GRAMMAR - shared == {f"pipeline.cli.{name}"}
    assert libraries - PARSERS <= {"pathlib", "urllib.parse"}


@pytest.mark.parametrize(("manifest", "library"), [("m.jsonl", "jsonl"), ("m.csv", "csv"), ("m.yaml", "yaml")])
def test_a_manifest_is_checked_by_its_own_format_alone_when_it_is_validated(
    tmp_path: Path, manifest: str, library: str
) -> None:
    """No price, no ledger, no other format's reader, nothing to expand, and nothing slow of the standard library."""
    (tmp_path / manifest).write_text(MANIFESTS[manifest])
    ours, libraries = everything_imported(tmp_path, "validate", manifest)
    assert rooms(ours - WORDS) == {"cli", "core", "catalog", "manifest"}
    assert {name for name in ours if name.endswith("_reader")} == {f"pipeline.manifest.{library}_reader"}
    assert not ours & {f"pipeline.catalog.{name}" for name in ("pricing", "quoting", "example", "own", "audit")}
    assert not ours & {f"pipeline.manifest.{name}" for name in ("expansion", "filling", "matrix", "seeds")}
    assert libraries == {"msgspec"} | ({"yaml"} if library == "yaml" else set())


async def test_a_plan_does_without_events_and_enrolment_when_no_row_has_changed(tmp_path: Path) -> None:
    """A plan is arithmetic over a manifest: nothing that waits, writes or listens is imported for it."""
    (tmp_path / "m.jsonl").write_text(MANIFESTS["m.jsonl"])
    async with await Ledger.open(tmp_path / "outputs/m", run_id="r", at=time.time()):
        pass
    ours, libraries = everything_imported(tmp_path, "plan", "m.jsonl")
    assert not ours & {"pipeline.core.events", "pipeline.ledger.enrolment", "pipeline.ledger.transitions"}
    assert libraries - {"dataclasses", "inspect"} == {
        "hashlib",
        "json",
        "msgspec",
        "pathlib",
        "sqlite3",
        "urllib.parse",
    }


def test_a_plan_does_without_the_ledger_when_there_is_none(tmp_path: Path) -> None:
    """Before the first run there is nothing to read."""
    (tmp_path / "m.jsonl").write_text(MANIFESTS["m.jsonl"])
    ours, libraries = everything_imported(tmp_path, "plan", "m.jsonl")
    assert "ledger" not in rooms(ours - WORDS)
    assert libraries == {"hashlib", "json", "msgspec", "pathlib", "urllib.parse"}


@pytest.mark.parametrize("arguments", [["validate", "m.yaml"], ["plan", "m.jsonl"], ["status", "outputs"]])
def test_no_parser_is_imported_when_a_command_that_looks_is_told_nothing_but_where(
    tmp_path: Path, arguments: list[str]
) -> None:
    """The parser of command lines, and what reads signatures, would take as long as the command."""
    for name, content in MANIFESTS.items():
        (tmp_path / name).write_text(content)
    assert imported(tmp_path, *arguments, code=2 if "status" in arguments else 0, heavy=tuple(PARSERS)) == ""


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        *(
            (command, name)
            for command in ("validate", "plan")
            for name in (*MANIFESTS, "broken.yaml", "gone.csv", ".", "")
        ),
        *(("status", name) for name in ("outputs/m", "outputs/gone", ".", "m.csv", "")),
        ("status", "--help"),
        ("plan", "-"),
    ],
)
async def test_a_command_says_the_same_when_its_line_is_parsed_and_when_it_needs_no_parser(
    tmp_path: Path, command: str, argument: str
) -> None:
    """`--` changes nothing of what follows, and only the parser knows it."""
    for name, content in MANIFESTS.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "broken.yaml").write_text("jobs:\n  - {id: a, inptu: {}}\n")
    async with await Ledger.open(tmp_path / "outputs/m", run_id="r", at=time.time()):
        pass
    lines = [command, argument], [command, argument] if argument.startswith("--") else [command, "--", argument]
    plainly, parsed = (
        subprocess.run(
            [sys.executable, "-m", "pipeline", *line],
            cwd=tmp_path,
            capture_output=True,
            input=MANIFESTS["m.jsonl"],
            text=True,
            check=False,
        )
        for line in lines
    )
    assert (plainly.returncode, plainly.stdout, plainly.stderr) == (parsed.returncode, parsed.stdout, parsed.stderr)
    assert plainly.stdout or plainly.stderr


async def test_only_the_reading_of_a_ledger_is_imported_when_status_is_asked_for(tmp_path: Path) -> None:
    """Where a batch stands is read without the catalog, the settings, any job, and whatever writes."""
    async with await Ledger.open(tmp_path, run_id="r", at=time.time()):
        pass
    ours, libraries = everything_imported(tmp_path, "status", ".")
    assert rooms(ours - LOOKED_UP) == {"ledger", "views"}
    assert {name for name in ours if inside(name, "ledger")} == OVERVIEW
    assert libraries == {"pathlib", "sqlite3", "urllib.parse"}


def test_garbage_is_hardly_looked_for_when_a_small_command_runs(tmp_path: Path) -> None:
    """Importing makes a hundred thousand objects and no garbage, and at exit there is nothing worth finding either."""
    (tmp_path / "m.jsonl").write_text(MANIFESTS["m.jsonl"])
    command = [sys.executable, "-c", COLLECTING, "validate", "m.jsonl"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    collections, frozen = ended.stdout.splitlines()[-1].split()
    assert (
        int(collections) < 20
    )  # nearly fifty by the default, of which a few come of modules that are not compiled yet
    assert frozen == "True"


LEAVING = """
import atexit, sys
atexit.register(print, "taken apart", flush=True)
{before}
from pipeline.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("before", "arguments", "code", "apart"),
    [
        ("", ["validate", "m.jsonl"], 0, False),
        ("", ["validate", "gone.jsonl"], 2, False),
        ("", ["--version"], 0, False),
        ("import asyncio", ["validate", "m.jsonl"], 0, True),
        ("sys.setprofile(lambda *told: None)", ["validate", "m.jsonl"], 0, True),
        ("sys.settrace(lambda *told: None)", ["validate", "m.jsonl"], 0, True),
    ],
)
def test_a_small_command_ends_at_once_when_it_has_said_everything(
    tmp_path: Path, before: str, arguments: list[str], code: int, apart: bool
) -> None:
    """Nothing is taken apart at its end, unless there was an event loop, or a debugger or profiler looks on."""
    (tmp_path / "m.jsonl").write_text(MANIFESTS["m.jsonl"])
    command = [sys.executable, "-c", LEAVING.format(before=before), *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout or ended.stderr  # what it had to say is there
    assert ("taken apart" in ended.stdout) is apart


def test_an_output_that_cannot_be_written_is_complained_of_when_a_small_command_ends(tmp_path: Path) -> None:
    """A full disk is no silent success."""
    (tmp_path / "m.jsonl").write_text(MANIFESTS["m.jsonl"])
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "pipeline", "validate", "m.jsonl"]
        ended = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 3
    assert "cannot be written" in ended.stderr


BESIDE = """
import sys, threading
from pipeline.cli.conducting import import_client_beside
import_client_beside()
print("aiohttp.connector" in sys.modules, "pipeline.foreground" in sys.modules, "pipeline.api" in sys.modules)
for thread in threading.enumerate():
    if thread.name == "import":
        thread.join()
print("pipeline.modelverse.client" in sys.modules)
"""


def test_the_http_client_has_the_interpreter_to_itself_when_a_run_starts() -> None:
    """Until it comes to the certificates, which are read without the interpreter, nothing else is imported."""
    ended = subprocess.run([sys.executable, "-c", BESIDE], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True", "False", "False", "True"]

"""The page of guarantees names only what exists: commands, tests, files, settings and error codes."""

import ast
import re
from pathlib import Path

import click
import pytest

from pipeline.cli.grammar import cli
from pipeline.modelverse.decisions import BROKEN, CODES
from pipeline.settings import NAMES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
SHELL = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
TESTED = sorted({target for line in SHELL if line.startswith("pytest ") for target in line.split()[1:]})
LINKS = sorted(set(re.findall(r"\]\(([^)#]+)\)", PAGE)))
OWN_CODES = {"not_json", "empty_answer", "no_task_id", "interrupted", "task_unknown"}
"""Of unknown submits, where the error is neither the service's nor the transport's."""


def functions(path: Path) -> set[str]:
    """The tests in a file."""
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_each_promise_has_all_its_parts_when_the_page_is_read() -> None:
    """Six promises, each with what it says, rests on and does not cover, and a command."""
    promises = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:7]
    assert [promise[0] for promise in promises] == list("123456")
    for promise in promises:
        assert all(part in promise for part in ("**Says.**", "**Rests on.**", "**Does not cover.**", "```sh\npytest "))


@pytest.mark.parametrize("target", TESTED)
def test_a_test_exists_when_the_page_names_it(target: str) -> None:
    """Every file, folder and test that a command names is there."""
    file, _, name = target.partition("::")
    assert (ROOT / file).exists()
    assert not name or name in functions(ROOT / file)


@pytest.mark.parametrize("line", [line for line in SHELL if not line.startswith("pytest ")])
def test_a_command_exists_when_the_page_names_it(line: str) -> None:
    """Commands of the product have their options; modules can be run."""
    words = line.partition("#")[0].split()
    if words[:2] == ["python", "-m"]:
        module = ROOT / f"{words[2].replace('.', '/')}.py"
        assert '__name__ == "__main__"' in module.read_text(encoding="utf-8")
        return
    command = cli.commands[words[1]]
    options = {name for one in command.params if isinstance(one, click.Option) for name in one.opts}
    assert words[0] == "pipeline"
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("link", LINKS)
def test_a_file_exists_when_the_page_links_to_it(link: str) -> None:
    """What a promise rests on can be opened."""
    assert (ROOT / "docs" / link).is_file()


def test_words_are_those_of_the_program_when_the_page_uses_them() -> None:
    """Settings, options and error codes are spelt as in the program."""
    options = {name for one in cli.commands["run"].params for name in one.opts}
    assert set(re.findall(r"`(--[a-z-]+)`", PAGE)) <= options | {"--task-id", "--json"}
    table = re.search(r"^\| error \|.*?\n\n", PAGE, re.DOTALL | re.MULTILINE)
    assert table
    first_cells = " ".join(row.split("|")[1] for row in table[0].splitlines()[2:] if row)
    codes = {code for code in re.findall(r"`(\w+)`", first_cells) if not code.startswith("http_")}
    assert codes <= OWN_CODES | set(BROKEN) | set(CODES)
    assert codes >= OWN_CODES
    settings = {"poll_lag", "task_timeout", "max_video_bytes", "min_free_bytes", "grace", "endpoint"}
    assert settings <= set(NAMES)
    assert all(f"`{name}`" in PAGE for name in settings)


def test_the_readme_leads_to_the_page_when_somebody_looks_for_it() -> None:
    """The page is found from the README."""
    assert "(docs/guarantees.md)" in (ROOT / "README.md").read_text(encoding="utf-8")

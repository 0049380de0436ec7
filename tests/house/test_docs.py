"""The README names everything that a user can type, set or receive."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipeline.cli import cli
from pipeline.core import errors
from pipeline.settings import NAMES, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS_KEYS = (
    *("schema", "run_id", "job_id", "status", "attempts", "model", "input", "parameters", "metadata", "task_id"),
    *("request_id", "files", "usage", "cost", "submitted_at", "finished_at", "downloaded_at", "error", "source"),
)


def options() -> Iterator[tuple[str, str]]:
    """Every long option with its command; help is everybody's."""
    for name, command in cli.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield name, max(parameter.opts, key=len)


@pytest.mark.parametrize("name", cli.commands)
def test_a_command_is_documented_when_it_exists(name: str) -> None:
    """Every command stands in the README as it is typed, and its help has an example."""
    assert f"pipeline {name} " in README
    assert f"pipeline {name}" in (cli.commands[name].help or "")


@pytest.mark.parametrize(("command", "option"), list(options()))
def test_an_option_is_documented_when_it_exists(command: str, option: str) -> None:
    """Every option stands in the README, and has a help text."""
    assert re.search(rf"{option}\b", README)
    parameter = next(p for p in cli.commands[command].params if option in p.opts)
    assert isinstance(parameter, click.Option)
    assert parameter.help


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_documented_when_it_exists(name: str) -> None:
    """Every setting has a row in the README with its default."""
    row = re.search(rf"^\| `{name}` \| (.+?) \|", README, re.MULTILINE)
    assert row, name
    default = getattr(Settings(), name)
    shown = row[1].strip("`").replace("_", "").replace(",", "")
    if default is None:
        assert shown == "none"
    elif isinstance(default, bool):
        assert shown == str(default).lower()
    elif isinstance(default, str):
        assert shown == default
    else:
        assert float(shown.split()[0]) == default


def test_every_exit_code_is_documented_when_an_error_has_one() -> None:
    """The table in the README holds every code that the command can end with."""
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PipelineError)
    ]
    for code in {kind.exit_code for kind in kinds} | {0, 5, 70}:
        assert re.search(rf"^\| {code} \|", README, re.MULTILINE), code


@pytest.mark.parametrize("key", RESULTS_KEYS)
def test_a_key_of_a_results_line_is_documented_when_it_exists(key: str) -> None:
    """The README shows a whole results line."""
    assert f'"{key}":' in README


def test_the_two_commands_stand_in_one_line_each_when_a_newcomer_looks() -> None:
    """One command runs the demo and one runs the tests, on a machine with nothing but Python."""
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv .venv && ")]
    assert len(commands) == 2
    assert "pipeline run configs/demo.yaml --rehearse" in commands[0]
    assert commands[1].endswith("pytest -n auto")

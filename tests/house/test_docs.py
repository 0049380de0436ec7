"""The pages name everything that a user can type, set or receive, and nothing that does not exist."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from pipeline.cli.grammar import cli
from pipeline.core import errors
from pipeline.core.jobs import JobState
from pipeline.modelverse.decisions import BROKEN, CODES, SIGNS
from pipeline.settings import NAMES, Settings
from tests.house import made_pages
from tests.house.pages import (
    PAGES,
    README,
    ROOT,
    anchors,
    blocks,
    calls,
    commands,
    links,
    parsed,
    prose,
    read,
    rows,
)

COMMANDS, SETTINGS, TROUBLE = "docs/commands.md", "docs/settings.md", "docs/troubleshooting.md"
CODE_TABLES = {README: "code", COMMANDS: "code", "docs/cron.md": "exit"}
"""Where the exit codes stand, and how the table begins."""
RESULTS_KEYS = (
    *("schema", "run_id", "job_id", "status", "attempts", "model", "input", "parameters", "metadata", "task_id"),
    *("request_id", "files", "usage", "cost", "submitted_at", "finished_at", "downloaded_at", "error", "source"),
    "local_files",
)
PLACEHOLDERS = {
    "DIR": "outputs/shots",
    "JOB": "wave-01",
    "MANIFEST": "shots.yaml",
    "ID": "9f1c",
    "NAME": "m",
    "FILE": "f",
}
"""What stands for a word of the reader's own in a command, and such a word."""


def options() -> Iterator[tuple[str, str]]:
    """Every long option with its command; help is everybody's."""
    for name, command in cli.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for names in filter(None, (parameter.opts, parameter.secondary_opts)):
                    yield name, max(names, key=len)


# -- everything is documented


@pytest.mark.parametrize("page", made_pages.PAGES)
def test_a_page_is_the_program_s_own_when_it_is_made_from_it(page: str) -> None:
    """Settings and commands are never written by hand; `python -m tests.house.made_pages` writes them anew."""
    assert read(page) == made_pages.PAGES[page]()


@pytest.mark.parametrize("name", cli.commands)
def test_a_command_is_documented_when_it_exists(name: str) -> None:
    """Every command stands in the README as it is typed, has a part of its own, and its help has an example."""
    assert f"pipeline {name} " in read(README)
    assert re.search(rf"^## pipeline {name}\b", read(COMMANDS), re.MULTILINE)
    assert f"pipeline {name}" in (cli.commands[name].help or "")


@pytest.mark.parametrize(("command", "option"), list(options()))
def test_an_option_is_documented_when_it_exists(command: str, option: str) -> None:
    """Every option stands in the part of its command, and has a help text."""
    part = re.search(rf"^## pipeline {command}\b.*?(?=^## |\Z)", read(COMMANDS), re.MULTILINE | re.DOTALL)
    assert part
    assert re.search(rf"^\| `[^`]*{option}\b[^`]*` \| \S", part[0], re.MULTILINE)
    parameter = next(p for p in cli.commands[command].params if option in (*p.opts, *p.secondary_opts))
    assert isinstance(parameter, click.Option)
    assert parameter.help


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_documented_when_it_exists(name: str) -> None:
    """Every setting has a row with its default, its variable, and its flag where it has one."""
    row = re.search(rf"^\| `{name}` \| (.+?) \|(.*)$", read(SETTINGS), re.MULTILINE)
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
    assert f"`PIPELINE_{name.upper()}`" in row[2]
    flags = [max(one.opts, key=len) for one in cli.commands["run"].params if one.name == name]
    assert all(f"`{flag}`" in row[2] for flag in flags)


def exit_codes() -> set[int]:
    """Every code that the command can end with."""
    found = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PipelineError)
    ]
    return {kind.exit_code for kind in found} | {0, 5, 70}


@pytest.mark.parametrize("page", CODE_TABLES)
def test_every_exit_code_is_documented_when_a_page_has_their_table(page: str) -> None:
    """The tables hold every code, once, and no other."""
    found = [int(row[0]) for row in rows(page, CODE_TABLES[page])]
    assert sorted(found) == sorted(exit_codes())


def test_the_exit_codes_mean_the_same_when_two_pages_tell_them() -> None:
    """README and docs/commands.md say it in the same words, in the same order: the first that applies wins."""
    assert rows(README, "code") == rows(COMMANDS, "code")


@pytest.mark.parametrize("key", RESULTS_KEYS)
def test_a_key_of_a_results_line_is_documented_when_it_exists(key: str) -> None:
    """The page of the output folder shows a whole results line."""
    assert f'"{key}":' in read("docs/results.md")


@pytest.mark.parametrize("state", JobState)
def test_a_state_is_explained_when_a_job_can_have_it(state: JobState) -> None:
    """The glossary says what goes on in each."""
    assert [row[0] for row in rows("docs/glossary.md", "state")].count(f"`{state}`") == 1


# -- what is documented exists


@pytest.mark.parametrize(("page", "command"), [(page, command) for page in PAGES for command in commands(page)])
def test_a_command_is_accepted_when_a_page_tells_to_type_it(page: str, command: str) -> None:
    """The real command line reads it; what stands for the reader's own words counts as one."""
    for arguments in calls(command.replace("…", "x")):
        if not {"--help", "-h", "--version"} & set(arguments):
            parsed([PLACEHOLDERS.get(word, word) for word in arguments])


def test_a_command_is_refused_when_it_does_not_exist() -> None:
    """The check above can fail."""
    for wrong in ("run", "run shots.yaml --bugdet 3", "rnu shots.yaml", "status"):
        with pytest.raises(click.ClickException):
            parsed(shlex.split(wrong))
    assert calls("x=$(/a/pipeline status d 2>&1) || echo $x") == [["status", "d"]]
    assert calls("A=1 .venv/bin/pipeline run - | jq . && pipeline status 'a b'") == [["run", "-"], ["status", "a b"]]


@pytest.mark.parametrize("page", PAGES)
def test_an_option_exists_when_a_page_names_it(page: str) -> None:
    """In running text and tables too, wherever it is typed alone or to `pipeline`."""
    spans = [code for code in re.findall(r"`([^`\n]+)`", prose(page)) if code.startswith(("--", "pipeline "))]
    named = {option for code in spans for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)}
    assert named <= {option for _, option in options()} | {"--help", "--version"}


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_somewhere_when_a_page_has_one(page: str) -> None:
    """Files exist, and so do the headings in them."""
    for link in links(page):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(str(target.resolve().relative_to(ROOT))), link


def test_every_page_is_found_when_somebody_starts_at_the_readme() -> None:
    """Each page is linked from the README."""
    linked = {link.partition("#")[0] for link in links(README)}
    assert {page for page in PAGES if page != README} <= linked


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_closed_when_a_page_is_read(page: str) -> None:
    """Every fence has its other half, or the rest of the page would be shown as code."""
    assert len(re.findall(r"^ *```", read(page), re.MULTILINE)) == 2 * len(blocks(page))


def test_the_two_commands_stand_in_one_line_each_when_a_newcomer_looks() -> None:
    """One command runs the demo and one runs the tests, on a machine with nothing but Python."""
    found = [line for line in read(README).splitlines() if line.startswith("python3 -m venv .venv && ")]
    assert len(found) == 2
    assert "pipeline run configs/demo.yaml --rehearse" in found[0]
    assert found[1].endswith("pytest -n auto")


# -- troubleshooting


@cache
def sentences() -> str:
    """Every text of the program, a line each; what it fills in is an ellipsis."""
    found = []
    for path in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(text.replace("\n", " ") for text in found)


def quoted() -> list[str]:
    """Every sentence that the page quotes: the first cells of its tables, but for the error codes."""
    page = read(TROUBLE).partition("## All error codes")[0]
    cells = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    return [*cells, *re.findall(r"^`([^`]+ [^`]+)`", page, re.MULTILINE)]


@pytest.mark.parametrize("sentence", quoted())
def test_the_program_says_it_when_the_page_quotes_it(sentence: str) -> None:
    """To the letter between the ellipses, so that a search for what was printed finds the row."""
    parts = [part.strip(" :;,().") for part in sentence.split("…")]
    known = sentences()
    assert all(part in known for part in parts)
    assert max(map(len, parts)) > 6


@pytest.mark.parametrize(
    "rule", [*CODES.values(), *BROKEN.values(), *(sign.rule for sign in SIGNS)], ids=lambda rule: rule.says
)
def test_an_answer_of_the_service_has_a_row_when_it_may_end_a_job_or_a_run(rule: object) -> None:
    """What the service may say is explained, but for the models' own numbers, which have a code."""
    says = rule.says  # type: ignore[attr-defined]
    assert f"`{says}`" in read(TROUBLE) or says.startswith("the model")


def codes() -> set[str]:
    """Every error code of our own and of the service's gateway."""
    found = set(CODES) | set(BROKEN) | {sign.code for sign in SIGNS}
    for room in ("videos", "modelverse", "engine"):
        for path in (ROOT / "pipeline" / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            found |= set(re.findall(r"\bcode=\"([a-z_0-9]+)\"", text))
            found |= set(re.findall(r"(?:UnreadableError|Failure)\((?:Stage\.\w+, )?\"([a-z_0-9]+)\"", text))
            found |= set(re.findall(r"^_GONE = \"([a-z_]+)\"", text, re.MULTILINE))
    return found


def test_every_error_code_is_explained_when_a_result_can_have_it() -> None:
    """The last table of the page has them all."""
    named = set(re.findall(r"`(\w+)`", " ".join(row[0] for row in rows(TROUBLE, "code"))))
    assert codes() <= named, codes() - named

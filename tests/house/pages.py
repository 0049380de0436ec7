"""The pages of the project as data: their blocks, links, tables and headings, and the commands that they show."""

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

from pipeline.cli.grammar import cli

ROOT = Path(__file__).parents[2]
README, CHINESE = "README.md", "README.zh-CN.md"
PAGES = tuple(
    str(path.relative_to(ROOT))
    for path in (ROOT / README, ROOT / CHINESE, *sorted((ROOT / "docs").glob("*.md")))
    if path.exists()
)
"""By their names from the root of the repository."""
SHELL = ("sh", "console", "cron")
"""Kinds of blocks in which a line is something to type."""

_BLOCK = re.compile(r"^( *)```([\w-]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")
_CAUGHT = re.compile(r"\w+=\$\((.*)\)")
"""The output of a command in a variable."""
_START = {"sh": re.compile(""), "console": re.compile(r"\$ "), "cron": re.compile(r"([\d*/,-]+ +){5}")}
"""What stands before a command in each kind of block."""
_REDIRECTION = re.compile(r"\d*[<>]")
_SEPARATORS = {"|", "||", "&&", ";"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    kind: str
    text: str


@cache
def read(page: str) -> str:
    """The text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(kind, text) for _, kind, text in _BLOCK.findall(read(page))]


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return _BLOCK.sub("", read(page))


def links(page: str) -> list[str]:
    """Where a page leads to, as written; other hosts too."""
    return _LINK.findall(prose(page))


def headings(page: str) -> list[tuple[int, str]]:
    """Level and text of each heading."""
    return [(len(marks), text.strip()) for marks, text in re.findall(r"^(#+) (.+)$", prose(page), re.MULTILINE)]


def anchors(page: str) -> set[str]:
    """What stands behind `#` in a link to a heading, as GitHub makes it."""
    found: set[str] = set()
    for _, text in headings(page):
        plain = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        names = (plain if number == 0 else f"{plain}-{number}" for number in range(100))
        found.add(next(name for name in names if name not in found))
    return found


def rows(page: str, head: str) -> list[list[str]]:
    """The cells of the first table whose head begins with this cell; a bar in a cell is written `\\|`."""
    table = re.search(rf"^\| {re.escape(head)} \|.*\n\|[-| ]+\n((?:\|.*\n?)+)", read(page), re.MULTILINE)
    assert table, f"{page} has no table that begins with {head!r}"
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in table[1].splitlines()]


def commands(page: str) -> list[str]:
    """What a page tells its reader to type: lines of a `sh` block, those after a prompt of a `console` block, and the
    commands of a `cron` block.

    Comments are left out; a line that ends with a backslash goes on in the next.
    """
    found = []
    for block in blocks(page):
        if block.kind not in SHELL:
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            typed = _START[block.kind].match(line)
            if typed and (said := _without_comment(line[typed.end() :])):
                found.append(said)
    return found


def calls(command: str) -> list[list[str]]:
    """The calls of the product in a line of shell, each as its arguments."""
    words = shlex.split(_CAUGHT.sub(r"\1", command))
    found: list[list[str]] = []
    taking = start = True
    for word in words:
        if word in _SEPARATORS:
            start = True
        elif _REDIRECTION.match(word):
            taking = False
        elif start and _ASSIGNMENT.fullmatch(word):
            continue
        elif start:
            taking, start = Path(word).name == "pipeline", False
            if taking:
                found.append([])
        elif taking:
            found[-1].append(word)
    return found


def parsed(arguments: list[str]) -> dict[str, object]:
    """The arguments as the real command reads them. Raises `click.ClickException` where it would not."""
    with click.Context(cli, info_name="pipeline") as context:
        name, command, rest = cli.resolve_command(context, list(arguments))
        assert command is not None
        return command.make_context(name, rest, parent=context).params


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s+)#\s.*$", "", line).strip()

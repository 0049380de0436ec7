"""The pages that are made from the program: docs/settings.md and docs/commands.md.

    python -m tests.house.made_pages

writes them anew; a test holds that what lies there is what this makes.
"""

import ast
import inspect
import typing
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from pipeline import settings
from pipeline.cli.grammar import cli
from pipeline.settings import NAMES, OWNERS, Settings

ROOT = Path(__file__).parents[2]

EXIT_CODES = (
    (2, "bad usage, manifest or settings; nothing was submitted"),
    (75, "another run holds the output folder"),
    (4, "the account was refused (key, quota, IP, balance); work remains"),
    (
        3,
        (
            "stopped with work remaining: deadline, signal, budget, disk, failing downloads, outage; or some tasks "
            "still run at the service; or `verify` could not read a file"
        ),
    ),
    (5, "everything else ended, but some submits have an unknown outcome and wait for a decision"),
    (1, "finished, some jobs failed; or `verify` found a difference"),
    (0, "finished, nothing failed, or nothing to do; also where `--limit` or `--select` left jobs queued on purpose"),
    (70, "a bug of ours; run again with `-v` and report it"),
)
"""When several apply, the first of this order wins; 70 stands apart."""

_SETTINGS_HEAD = """\
# Settings

<!-- Made by `python -m tests.house.made_pages` from pipeline/settings.py: change it there. -->

Settings are read from five places. Later ones win:

1. the defaults below,
2. a YAML file that `-c` names; [configs/settings.yaml](../configs/settings.yaml) has them all, ready to be copied,
3. `run:` in the manifest, so that one file is enough for cron,
4. the environment: the variables below, and `MODELVERSE_ENDPOINT` for `endpoint`; an empty variable counts as none,
5. flags, for the settings that have one.

An unknown name is a mistake, and the nearest right one is suggested. A duration is a number of seconds, or text such as
`90s`, `15m`, `5h` or `1h30m`; a size is a number of bytes, or text such as `500MB` or `2GiB`; an amount of money is a
number in the catalog's currency.

The API key is no setting: it comes from `MODELVERSE_API_KEY`, or from the file that `--api-key-file` names.
"""
_OWNERS = """\
{} are not for a manifest, because they run commands, write files
anywhere or send facts to a host, and a manifest may be somebody else's.
"""

_COMMANDS_HEAD = """\
# Commands

<!-- Made by `python -m tests.house.made_pages` from pipeline/cli: change it there. -->

Every command has `--help` with the same words, and `-v`. `pipeline --version` prints the version.

Standard output holds the summary (or the data), standard error everything else. Nothing is coloured or animated outside
a terminal, and `NO_COLOR` is honoured; a terminal that is not UTF-8 gets ASCII. A terminal that is held (Ctrl-S) or a
log that nobody reads never holds up the run. [The live view](live-view.md) says what stands on the screen. The last
line of a run is stable, for scripts and mails:

```text
pipeline: exit 0: 12 jobs: 12 done, 0 failed, 0 unknown, 0 remaining in 14.2 s
```

## Exit codes

When several apply, the first of this order wins. [Cron](cron.md#exit-codes-in-the-morning) says what each means in the
morning, and [troubleshooting](troubleshooting.md) what to do.

| code | meaning |
|---|---|
"""
_OPTIONS = ("| option | meaning |", "|---|---|")


# -- settings


def settings_page() -> str:
    """docs/settings.md."""
    parts = [_SETTINGS_HEAD]
    for title, names in _groups():
        parts.append(f"## {title[0].upper()}{title[1:]}\n")
        lines = ["| setting | default | value | meaning | flag | environment |", "|---|---|---|---|---|---|"]
        parts.append("\n".join(lines + [_row(name) for name in names]) + "\n")
        owned = [f"`{name}`" for name in names if name in OWNERS]
        if owned:
            parts.append(_OWNERS.format(f"{', '.join(owned[:-1])} and {owned[-1]}"))
    return "\n".join(parts)


def _row(name: str) -> str:
    flags = " or ".join(f"`{flag}`" for flag in _flags().get(name, ()))
    cells = (f"`{name}`", _default(name), _value(name), _meanings()[name], flags, f"`PIPELINE_{name.upper()}`")
    return f"| {' | '.join(map(_cell, cells))} |"


def _tree() -> tuple[ast.ClassDef, list[str]]:
    source = Path(settings.__file__).read_text(encoding="utf-8")
    classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    return next(classes), source.splitlines()


def _groups() -> Iterator[tuple[str, list[str]]]:
    """The spoken headings in the class, each with the settings below it."""
    made, lines = _tree()
    title, names = "", list[str]()
    lines_of = {node.lineno: node.target.id for node in _fields(made)}
    for number, line in enumerate(lines[: made.end_lineno], 1):
        if number > made.lineno and line.strip().startswith("# -- "):
            if names:
                yield title, names
            title, names = line.strip().removeprefix("# -- "), []
        elif number in lines_of:
            names.append(lines_of[number])
    yield title, names


def _fields(made: ast.ClassDef) -> Iterator[Any]:
    return (node for node in made.body if isinstance(node, ast.AnnAssign))


def _meanings() -> dict[str, str]:
    """The sentence below each field."""
    made, _ = _tree()
    found = {}
    for node, following in zip(made.body, made.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(following, ast.Expr):
            assert isinstance(following.value, ast.Constant)
            found[node.target.id] = " ".join(str(following.value.value).split())  # type: ignore[union-attr]
    assert found.keys() == set(NAMES), f"without a sentence: {set(NAMES) - found.keys()}"
    return found


def _default(name: str) -> str:
    default = getattr(Settings(), name)
    if default is None:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str):
        return default
    unit = " s" if _unit(name) is settings.parse_duration else ""
    return f"{default:,.0f}{unit}" if default == int(default) else f"{default:,}{unit}"


def _unit(name: str) -> object:
    return settings.units()[name].parse if name in settings.units() else None


def _value(name: str) -> str:
    """What may be written there."""
    of_unit = {
        settings.parse_duration: "duration",
        settings.parse_size: "size",
        settings.parse_amount: "amount of money",
        settings.parse_notify: "mapping; in the environment as JSON",
    }
    unit = _unit(name)
    if unit is not None:
        return of_unit[unit]  # type: ignore[index]
    hint = typing.get_type_hints(Settings)[name]
    kinds = {int: "whole number", float: "number", bool: "`true` or `false`", str: "text"}
    parts = typing.get_args(hint) if typing.get_origin(hint) is not typing.Literal else (hint,)
    shown = []
    for part in parts or (hint,):
        if typing.get_origin(part) is typing.Literal:
            shown += [f"`{word}`" for word in typing.get_args(part)]
        elif part in kinds:
            shown.append(kinds[part])
    return " or ".join(shown) if len(shown) < 3 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _flags() -> dict[str, list[str]]:
    """The flags of each setting that has one."""
    run = cli.commands["run"]
    return {
        one.name: [max(names, key=len) for names in (one.opts, one.secondary_opts) if names]
        for one in run.params
        if isinstance(one, click.Option) and one.name in NAMES
    }


# -- commands


def commands_page() -> str:
    """docs/commands.md."""
    codes = "\n".join(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES)
    return "\n".join([f"{_COMMANDS_HEAD}{codes}\n", *(_command(name) for name in cli.commands)])


def _command(name: str) -> str:
    command = cli.commands[name]
    context = click.Context(command, info_name=f"pipeline {name}", max_content_width=1000)
    arguments = [one.metavar or str(one.name).upper() for one in command.params if isinstance(one, click.Argument)]
    records = [one.get_help_record(context) for one in command.params if isinstance(one, click.Option)]
    rows = [f"| {_cell(f'`{record[0]}`')} | {_cell(record[1])} |" for record in records if record]
    heading = " ".join(["## pipeline", name, *arguments])
    return "\n\n".join([heading, *_help(command.help or ""), "\n".join([*_OPTIONS, *rows])]) + "\n"


def _cell(text: str) -> str:
    """On one line, with bars escaped, and angles where they are no code."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


def _help(text: str) -> Iterator[str]:
    """The help in paragraphs; lines that are indented in it are something to type."""
    for paragraph in inspect.cleandoc(text).replace("\b\n", "").split("\n\n"):
        for typed, lines in groupby(paragraph.splitlines(), key=lambda line: line.startswith("  ")):
            said = "\n".join(line.strip() for line in lines)
            yield f"```sh\n{said}\n```" if typed else said


PAGES = {"docs/settings.md": settings_page, "docs/commands.md": commands_page}
"""Every page that is made, by its name from the root of the repository."""


if __name__ == "__main__":
    for page, make in PAGES.items():
        (ROOT / page).write_text(make(), encoding="utf-8")

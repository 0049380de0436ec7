"""`pipeline results`: print the results lines of a batch."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pipeline.cli.shell import folder_argument, verbose_option
from pipeline.cli.words import print_all, print_file, say

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.ledger import LedgerReader

_AT_ONCE = 1000


@click.command("results")
@folder_argument
@click.option("--latest", is_flag=True, help="One line per job: the newest.")
@click.option("--rebuild", is_flag=True, help="Write results.jsonl anew from the ledger, and print nothing.")
@verbose_option
def command(folder: "Path", latest: bool, rebuild: bool) -> None:
    """Print the results lines (JSON) of the batch in DIR.

    \b
    Examples:
      pipeline results outputs/shots | jq -r .job_id
      pipeline results outputs/shots --latest | grep '"status":"failed"'
      pipeline results outputs/shots --rebuild
    """
    from pipeline import ledger

    if latest and rebuild:
        raise click.UsageError("--latest prints and --rebuild does not: choose one")
    with ledger.LedgerReader(folder) as reader:
        if latest:
            print_all(reader.latest())
        elif not rebuild:
            _print_lines(reader, folder / ledger.RESULTS_NAME)
    if rebuild:
        from pipeline.folder import hold

        with hold(folder):
            length = ledger.rebuild(folder)
        say(f"{folder / ledger.RESULTS_NAME}: written anew, {length:,} bytes")


def _print_lines(reader: "LedgerReader", file: "Path") -> None:
    """The file's lines, or where somebody removed it, those of the ledger that it is made from."""
    if os.path.lexists(file):
        print_file(file)
    else:
        print_all(_recorded(reader))


def _recorded(reader: "LedgerReader") -> Iterator[str]:
    last = 0
    while lines := reader.lines(last, _AT_ONCE):
        yield from (line for _, line in lines)
        last = lines[-1][0]

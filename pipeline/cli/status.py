"""`pipeline status`: tell where a batch stands."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.shell import folder_argument, json_option, print_all, program, quoted, verbose_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command("status")
@folder_argument
@json_option
@verbose_option
def command(folder: "Path", as_json: bool) -> None:
    """Tell where the batch in DIR stands, also while a run holds it.

    \b
    Examples:
      pipeline status outputs/shots
      pipeline status outputs/shots --json | jq .remaining
    """
    from pipeline.folder import holder, is_rehearsal
    from pipeline.ledger import PRICES_KEY, Overview
    from pipeline.views.status import BatchStatus, status_json, status_lines

    with Overview(folder) as reader:
        found = BatchStatus(
            str(folder),
            reader.counts(),
            reader.runs(),
            reader.failures(),
            tuple(reader.unknown()),
            reader.spending(),
            reader.recall(PRICES_KEY),
            is_rehearsal(folder),
            holder(folder),
        )
    resolve = f"{program()} resolve {quoted(str(folder))}" if found.unknown else ""
    print_all([status_json(found)] if as_json else status_lines(found, resolve))

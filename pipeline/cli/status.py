"""`pipeline status`: tell where a batch stands."""

from typing import TYPE_CHECKING

import click

from pipeline.cli import small
from pipeline.cli.shell import folder_argument, json_option, verbose_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command("status")
@folder_argument
@json_option
@verbose_option
def command(folder: "Path", as_json: bool) -> int:
    """Tell where the batch in DIR stands, also while a run holds it.

    \b
    Examples:
      pipeline status outputs/shots
      pipeline status outputs/shots --json | jq .remaining
    """
    return small.status(folder, as_json=as_json)

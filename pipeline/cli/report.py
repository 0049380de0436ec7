"""`pipeline report`: write the report of a batch."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.shell import PATH, folder_argument, verbose_option
from pipeline.cli.words import print_all
from pipeline.views.text import printable

if TYPE_CHECKING:
    from pathlib import Path


@click.command("report")
@folder_argument
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Where to write it; DIR/report.html by default.")
@verbose_option
def command(folder: "Path", output: "Path | None") -> None:
    """Write the report of the batch in DIR: one HTML file with figures, charts and videos that needs no network. Works
    while a run goes on.

    \b
    Examples:
      pipeline report outputs/shots
      pipeline report outputs/shots -o outputs/shots-monday.html
    """
    from pipeline.views.report import write_report

    print_all([printable(str(write_report(folder, output)))])

"""`pipeline collect`: collect what is paid for, without the manifest."""

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from pipeline.cli.conducting import (
    api_key_option,
    commands_of_collect,
    elsewhere,
    import_client_beside,
    quiet_option,
    tell_end,
)
from pipeline.cli.shell import config_option, folder_argument, verbose_option
from pipeline.cli.words import Shell

if TYPE_CHECKING:
    from pathlib import Path

_NOTHING_IS_BOUGHT = {
    "limit": 0,
    "retry_failed": False,
    "resubmit_unknown": False,
    "select": None,
    "budget": None,
    "max_jobs": None,
    "max_seconds": None,
}
"""Whatever the settings say: nothing is queued again, and what holds for buying does not keep from collecting."""


@click.command("collect")
@folder_argument
@config_option
@api_key_option
@quiet_option
@verbose_option
@click.pass_obj
def command(shell: Shell, /, folder: "Path", config: "Path | None", api_key_file: "Path | None", quiet: bool) -> int:
    """Collect the tasks of DIR that are paid for: ask how they stand and fetch their videos. Nothing is submitted.

    A run does that by itself, before anything else; this is for a manifest that is broken, or no longer there.

    \b
    Example:
      pipeline collect outputs/shots
    """
    import_client_beside()
    from pipeline.folder import is_rehearsal
    from pipeline.foreground import Order, conduct

    commands = partial(commands_of_collect, folder=folder, config=config)
    order = Order(
        manifest=None,
        output=folder,
        config=config,
        flags=_NOTHING_IS_BOUGHT,
        rehearse=is_rehearsal(folder),
        speed=None,
        scenario=None,
        api_key_file=api_key_file,
        quiet=quiet,
        verbose=shell.verbose,
        commands=elsewhere(shell.arguments, commands),
    )
    ending = conduct(order, sys.stderr)
    return tell_end(ending, commands(shell.arguments).over(ending.folder), quiet=quiet)

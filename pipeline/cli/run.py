"""`pipeline run`: turn a manifest into videos."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.conducting import (
    api_key_option,
    commands_of_run,
    elsewhere,
    import_client_beside,
    quiet_option,
    say_what_waits,
    tell_end,
)
from pipeline.cli.options import run_options, settings_options
from pipeline.cli.shell import PATH, config_option, output_option, verbose_option
from pipeline.cli.words import Shell, complaint, say
from pipeline.core.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@click.command("run")
@click.argument("manifest")
@output_option
@config_option
@settings_options
@run_options
@click.option("--rehearse", is_flag=True, help="Run against the built-in emulator, into <folder>-rehearsal; free.")
@click.option("--speed", type=float, metavar="X", help="With --rehearse: how many times faster than life (20).")
@click.option("--scenario", type=PATH, metavar="FILE", help="With --rehearse: the trouble to rehearse (YAML).")
@api_key_option
@quiet_option
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    /,
    manifest: str,
    output: "Path | None",
    config: "Path | None",
    rehearse: bool,
    speed: float | None,
    scenario: "Path | None",
    api_key_file: "Path | None",
    quiet: bool,
    **flags: Any,
) -> int:
    """Turn MANIFEST (.yaml, .csv, .jsonl, or - for standard input) into videos.

    The whole manifest is checked before anything is submitted. The same command again goes on where it ended.
    The summary goes to stdout, its last line is stable; progress and log go to stderr.

    \b
    Examples:
      pipeline run shots.yaml
      pipeline run shots.csv -o outputs/night --concurrency 20 --max-runtime 5h
      pipeline run shots.yaml --rehearse --speed 60
      pipeline run shots.yaml --retry-failed --select 'wave-*'
    """
    import_client_beside()
    from pipeline.foreground import Order, conduct

    if not rehearse and (speed is not None or scenario is not None):
        raise click.UsageError("--speed and --scenario belong to --rehearse")
    commands = partial(commands_of_run, manifest=manifest, output=output, config=config, rehearse=rehearse)
    order = Order(
        manifest=manifest,
        output=output,
        config=config,
        flags={name: value for name, value in flags.items() if value is not None},
        rehearse=rehearse,
        speed=speed,
        scenario=scenario,
        api_key_file=api_key_file,
        quiet=quiet,
        verbose=shell.verbose,
        commands=elsewhere(shell.arguments, commands),
    )
    try:
        ending = conduct(order, sys.stderr)
    except UsageError as error:
        say(complaint(error))
        if not isinstance(error, SettingsError):  # which would keep us from collecting as well
            say_what_waits(order)
        return error.exit_code
    return tell_end(ending, commands(shell.arguments).over(ending.folder), quiet=quiet)

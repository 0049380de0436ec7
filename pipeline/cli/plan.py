"""`pipeline plan`: tell what a run would do and what it would cost."""

from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import small
from pipeline.cli.options import settings_options
from pipeline.cli.shell import config_option, json_option, output_option, verbose_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command("plan")
@click.argument("manifest")
@output_option
@config_option
@json_option
@settings_options
@verbose_option
def command(manifest: str, output: "Path | None", config: "Path | None", as_json: bool, **flags: Any) -> int:
    """Tell what `pipeline run MANIFEST` with the same options would do: which rows it would buy, at what price, in
    which time. Needs no key and no network, and changes nothing. Exit 2 where the run would refuse to begin.

    \b
    Examples:
      pipeline plan shots.yaml
      pipeline plan shots.yaml --budget 200 --retry-failed
      pipeline plan shots.csv --json | jq .to_submit.totals
    """
    return small.plan(manifest, output, config, as_json=as_json, **flags)

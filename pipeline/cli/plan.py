"""`pipeline plan`: tell what a run would do and what it would cost."""

from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import settings_options
from pipeline.cli.shell import config_layer, config_option, json_option, output_option, print_all, say, verbose_option

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
    from pipeline.folder import default_folder, paid_folder
    from pipeline.manifest import open_manifest
    from pipeline.plan import plan as made_of
    from pipeline.settings import settings_for
    from pipeline.views.plan import plan_json, plan_lines

    given = {name: value for name, value in flags.items() if value is not None}
    layer = config_layer(config)
    with open_manifest(manifest) as opened:
        opened.judge_by(given, layer)
        warnings = [str(warning) for warning in opened.check().warnings]
        settings = settings_for(opened.run, opened.file, given, layer)
        found = made_of(opened, paid_folder(output or default_folder(opened.name)), settings, warnings)
    for warning in [] if as_json else warnings:
        say(f"warning: {warning}")
    print_all([plan_json(found)] if as_json else plan_lines(found))
    return 2 if found.refused else 0

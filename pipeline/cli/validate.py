"""`pipeline validate`: check a manifest and report every problem."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.shell import catalog_option, config_layer, config_option, print_all, say, verbose_option
from pipeline.views.text import many

if TYPE_CHECKING:
    from pathlib import Path


@click.command("validate")
@click.argument("manifest")
@config_option
@catalog_option
@verbose_option
def command(manifest: str, config: "Path | None", catalog: str | None) -> None:
    """Check MANIFEST whole and report every problem with file, line and mend. Nothing else happens.

    Settings that a run would refuse are refused here as well.

    \b
    Examples:
      pipeline validate shots.csv
      generate-shots | pipeline validate -
    """
    from pipeline.manifest import open_manifest

    with open_manifest(manifest) as opened:
        opened.judge_by({"catalog": catalog} if catalog else {}, config_layer(config))
        checked = opened.check()
    for warning in checked.warnings:
        say(f"warning: {warning}")
    print_all([f"{opened.file}: {many(checked.jobs, 'job')}, no problem"])

"""`pipeline validate`: check a manifest and report every problem."""

from typing import TYPE_CHECKING

import click

from pipeline.cli import small
from pipeline.cli.shell import catalog_option, config_option, verbose_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command("validate")
@click.argument("manifest")
@config_option
@catalog_option
@verbose_option
def command(manifest: str, config: "Path | None", catalog: str | None) -> int:
    """Check MANIFEST whole and report every problem with file, line and mend. Nothing else happens.

    Settings that a run would refuse are refused here as well.

    \b
    Examples:
      pipeline validate shots.csv
      generate-shots | pipeline validate -
    """
    return small.validate(manifest, config, catalog)

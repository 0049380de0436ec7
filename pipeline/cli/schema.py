"""`pipeline schema`: print the JSON Schema of a manifest."""

from pathlib import Path

import click

from pipeline.cli.shell import catalog_option, verbose_option
from pipeline.cli.words import print_all


@click.command("schema")
@catalog_option
@verbose_option
def command(catalog: str | None) -> None:
    """Print the JSON Schema (2020-12) of a manifest, by which editors complete and check one.

    \b
    Example:
      pipeline schema > manifest.schema.json
    and as the first line of the manifest:
      # yaml-language-server: $schema=manifest.schema.json
    """
    from pipeline.catalog import Catalog
    from pipeline.views.schema import schema_text

    print_all([schema_text(Catalog.load(Path(catalog) if catalog else None))])

"""`pipeline models`: show what the models accept and cost."""

from pathlib import Path

import click

from pipeline.cli.shell import catalog_option, json_option, verbose_option
from pipeline.cli.words import print_all


@click.command("models")
@click.argument("name", metavar="[NAME]", required=False)
@catalog_option
@json_option
@verbose_option
def command(name: str | None, catalog: str | None, as_json: bool) -> None:
    """List the models of the catalog, or show what the model NAME accepts and costs, with an example.

    \b
    Examples:
      pipeline models
      pipeline models Wan-AI/Wan2.2-I2V
      pipeline models --json | jq '.entries[] | select(.price == null) | .models'
    """
    from pipeline.catalog import Catalog
    from pipeline.views.models import model_page, models_json, models_table

    known = Catalog.load(Path(catalog) if catalog else None)
    if as_json:
        print_all([models_json(known, name)])
    else:
        print_all(model_page(known, name) if name else models_table(known))

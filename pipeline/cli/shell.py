"""The options and arguments that many commands have."""

import os
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.words import Shell

if TYPE_CHECKING:
    from pathlib import Path


class _Place(click.Path):
    """A path of the file system, as a `Path`."""

    def coerce_path_result(self, value: Any) -> Any:
        from pathlib import Path  # brings what reads URLs along; help, and most checks, do without

        return Path(os.fsdecode(value))


PATH = _Place(readable=False)  # whoever reads it says why it cannot be read
PORT = click.IntRange(0, 65_535)


def _remember_verbose(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    context.ensure_object(Shell).verbose = value


def _only_one(_context: click.Context, _parameter: click.Parameter, files: "tuple[Path, ...]") -> "Path | None":
    """The last of several would silently hold alone, whatever a budget in another one says."""
    if len(files) > 1:
        raise click.UsageError("-c was given more than once; put the settings into one file")
    return files[0] if files else None


verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_remember_verbose,
    help="Say everything; print the traceback of a bug.",
)

catalog_option = click.option(
    "--catalog", metavar="FILE", help="Your own models and prices (YAML), on top of the catalog's."
)
config_option = click.option(
    "-c",
    "--config",
    type=PATH,
    metavar="FILE",
    multiple=True,
    callback=_only_one,
    help="Settings file (YAML).",
)
output_option = click.option(
    "-o", "--output", type=PATH, metavar="DIR", help="Output folder; outputs/<manifest name> by default."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
folder_argument = click.argument("folder", metavar="DIR", type=PATH)

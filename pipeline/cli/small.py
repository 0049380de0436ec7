"""The commands that only look, without the parser of command lines: to import it would take as long as they do."""

import sys
from typing import TYPE_CHECKING, Any

from pipeline.cli.words import print_all, program, say
from pipeline.views.text import many, shell_word

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.settings import Layer


def answer(command: str, argument: str) -> int:
    """What `pipeline COMMAND ARGUMENT` does for one of these. Returns the exit code."""
    if command == "status":
        from pathlib import Path  # brings what reads URLs along

        return status(Path(argument))
    _import_msgspec_alone()
    return validate(argument) if command == "validate" else plan(argument)


def validate(manifest: str, config: "Path | None" = None, catalog: str | None = None) -> int:
    """Check a manifest whole, and say every problem. Raises `ManifestError`."""
    from pipeline.manifest import open_manifest

    with open_manifest(manifest) as opened:
        opened.judge_by({"catalog": catalog} if catalog else {}, _config_layer(config))
        checked = opened.check()
    for warning in checked.warnings:
        say(f"warning: {warning}")
    print_all([f"{opened.file}: {many(checked.jobs, 'job')}, no problem"])
    return 0


def plan(
    manifest: str, output: "Path | None" = None, config: "Path | None" = None, *, as_json: bool = False, **flags: Any
) -> int:
    """Tell what a run with the same flags would do; 2 where it would refuse to begin."""
    from pipeline.folder import default_folder, paid_folder
    from pipeline.manifest import open_manifest
    from pipeline.plan import plan as made_of
    from pipeline.settings import settings_for
    from pipeline.views.plan import plan_json, plan_lines

    given = {name: value for name, value in flags.items() if value is not None}
    layer = _config_layer(config)
    with open_manifest(manifest) as opened:
        opened.judge_by(given, layer)
        warnings = [str(warning) for warning in opened.check().warnings]
        settings = settings_for(opened.run, opened.file, given, layer)
        found = made_of(opened, paid_folder(output or default_folder(opened.name)), settings, warnings)
    for warning in [] if as_json else warnings:
        say(f"warning: {warning}")
    print_all([plan_json(found)] if as_json else plan_lines(found))
    return 2 if found.refused else 0


def status(folder: "Path", *, as_json: bool = False) -> int:
    """Tell where the batch of a folder stands."""
    from pipeline.folder import holder, is_rehearsal
    from pipeline.ledger import PRICES_KEY, Overview
    from pipeline.views.status import BatchStatus, status_json, status_lines

    with Overview(folder) as reader:
        found = BatchStatus(
            str(folder),
            reader.counts(),
            reader.runs(),
            reader.failures(),
            tuple(reader.unknown()),
            reader.spending(),
            reader.recall(PRICES_KEY),
            is_rehearsal(folder),
            holder(folder),
        )
    resolve = f"{program()} resolve {shell_word(str(folder))}" if found.unknown else ""
    print_all([status_json(found)] if as_json else status_lines(found, resolve))
    return 0


def _import_msgspec_alone() -> None:
    """Keep `typing_extensions` out, which draws in `inspect`: both together take a seventh of a small command.

    msgspec takes from it, where it is installed, what `typing` has as well since Python 3.11, and does without it else.
    """
    if "typing_extensions" in sys.modules:
        return
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]  # how Python says that there is no such module
    try:
        import msgspec  # noqa: F401
    finally:
        del sys.modules["typing_extensions"]


def _config_layer(config: "Path | None") -> "Layer | None":
    """What the settings file says, where one was named."""
    if config is None:
        return None
    from pipeline.settings import config_file_layer

    return config_file_layer(config)

"""What stands for a manifest where a run only collects what is paid for: the ledger needs none for that."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.catalog import Catalog
from pipeline.core.jobs import Job
from pipeline.manifest.manifest import Checked, Manifest
from pipeline.settings import Layer, environment_layer, judging_settings


class NoManifest(Manifest):
    """No file, no job, no settings of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._catalog = Catalog.load()

    def close(self) -> None:
        """Nothing is open."""

    @property
    def name(self) -> str:
        """The folder's: there is no other."""
        return self._folder.name

    @property
    def file(self) -> str:
        """What a screen has to show in a manifest's place."""
        return "what is paid for"

    @property
    def run(self) -> Mapping[str, Any]:
        """No settings."""
        return {}

    def check(self) -> Checked:
        """Nothing can be wrong with it."""
        return Checked(0, ())

    def judge_by(self, flags: Mapping[str, Any], config: Layer | None = None) -> None:
        """Take the prices of the setting `catalog`, from the flags, the settings file or the environment."""
        chosen = judging_settings(*([config] if config else []), environment_layer(), Layer("flags", flags))
        self._catalog = Catalog.load(Path(chosen.catalog) if chosen.catalog else None)

    def identity(self) -> str | None:
        """Never known again: it stands for no rows."""
        return None

    def jobs(self) -> Iterator[Job]:
        """None."""
        return iter(())

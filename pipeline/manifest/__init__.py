"""A manifest file made checked jobs: YAML, CSV, JSONL, streamed, with every problem at once."""

from pipeline.manifest.manifest import Checked, Manifest, open_manifest
from pipeline.manifest.nothing import NoManifest

__all__ = ["Checked", "Manifest", "NoManifest", "open_manifest"]

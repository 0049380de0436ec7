"""A manifest file made checked jobs: YAML, CSV, JSONL, streamed, with every problem at once."""

from pipeline.manifest.manifest import Checked, Manifest, open_manifest

__all__ = ["Checked", "Manifest", "open_manifest"]

"""A folder with a picture, manifests written into it, and what their check says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import ManifestError, Problem
from pipeline.core.jobs import Job
from pipeline.manifest import open_manifest

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 3

Write = Callable[[str, "str | bytes"], Path]
Problems = Callable[[Path], "list[Problem]"]
Jobs = Callable[[Path], "list[Job]"]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file beside the picture `pic.png`."""
    (tmp_path / "pic.png").write_bytes(PNG)

    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


@pytest.fixture
def problems() -> Problems:
    """What the check of a manifest complains about; nothing but a `ManifestError` may come out."""

    def found(path: Path) -> list[Problem]:
        try:
            with open_manifest(path) as manifest:
                manifest.check()
        except ManifestError as error:
            return list(error.problems)
        return []

    return found


@pytest.fixture
def jobs() -> Jobs:
    """The jobs of a sound manifest, checked first."""

    def read(path: Path) -> list[Job]:
        with open_manifest(path) as manifest:
            checked = manifest.check()
            streamed = list(manifest.jobs())
        assert checked.jobs == len(streamed)
        return streamed

    return read

"""A manifest is known again by its bytes, its place, and the program that reads it; any doubt makes it another one."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.catalog import Catalog
from pipeline.manifest import Manifest, identity, open_manifest
from pipeline.manifest.source import source_of

ROW = "id,image_url,prompt\na,https://example.com/a.jpg,waves\n"


def identity_at(path: Path | str) -> str | None:
    with open_manifest(path) as manifest:
        return manifest.identity()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """A manifest of one row."""
    path = tmp_path / "shots.csv"
    path.write_text(ROW)
    return path


def test_manifest_is_the_same_when_nothing_has_changed(shots: Path) -> None:
    """Its dates mean nothing, and neither does the process that asks."""
    first = identity_at(shots)
    assert first is not None
    assert len(first) == 64
    shots.touch()
    assert identity_at(shots) == first
    script = f"from pipeline.manifest import open_manifest; print(open_manifest({str(shots)!r}).identity())"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == first


def test_manifest_is_another_when_one_byte_differs(shots: Path) -> None:
    """Also where the file's length and dates are what they were."""
    first, dates = identity_at(shots), shots.stat()
    shots.write_text(ROW.replace("waves", "saves"))
    os.utime(shots, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    assert (shots.stat().st_size, shots.stat().st_mtime_ns) == (dates.st_size, dates.st_mtime_ns)
    assert identity_at(shots) != first


def test_manifest_is_another_when_it_has_another_name_or_place(shots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs say where they come from, and paths are relative to it."""
    elsewhere = shots.parent / "elsewhere"
    elsewhere.mkdir()
    found = {
        identity_at(shots),
        identity_at(shutil.copy(shots, elsewhere)),
        identity_at(shots.rename(shots.with_name("also.csv"))),
    }
    monkeypatch.chdir(elsewhere)
    found.add(identity_at("shots.csv"))
    assert len(found) == 4


def test_manifest_is_another_when_the_program_is(shots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another code, catalog or library may read the same bytes otherwise; without source files nobody can tell."""
    first = identity_at(shots)
    package = shots.parent / "pipeline"
    for room in ("core", "manifest"):
        shutil.copytree(identity._PACKAGE / room, package / room)
    monkeypatch.setattr(identity, "_PACKAGE", package)
    identity._program.cache_clear()
    without_catalog = identity_at(shots)
    (package / "catalog").mkdir()
    (package / "catalog" / "models.yaml").write_text("models: []")
    identity._program.cache_clear()
    with_another = identity_at(shots)
    shutil.rmtree(package)
    identity._program.cache_clear()
    assert identity_at(shots) is None
    assert len({first, without_catalog, with_another}) == 3
    identity._program.cache_clear()


def test_nobody_knows_when_the_catalog_is_the_users_own(shots: Path) -> None:
    """Another catalog than the one that ships with the program may change from run to run."""
    with Manifest(source_of(shots), Catalog((), {})) as manifest:
        assert manifest.identity() is None


def test_nobody_knows_when_the_file_is_no_text(tmp_path: Path) -> None:
    """The check says what is wrong with it."""
    path = tmp_path / "shots.csv"
    path.write_bytes(ROW.encode("utf-16"))
    assert identity_at(path) is None


def test_standard_input_is_known_again_when_the_same_comes_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes count as a file's do."""

    def piped(text: str) -> str | None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return identity_at("-")

    assert piped(ROW) == piped(ROW)
    assert piped(ROW) != piped(ROW + "\n")

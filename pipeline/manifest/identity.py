"""By what a manifest is known again: a digest of everything that decides its jobs, but for the bytes of local files."""

import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from pipeline.manifest.digests import sha256
from pipeline.manifest.source import Kind, Source

_BLOCK = 1 << 20
_PACKAGE = Path(__file__).resolve().parents[1]
_ROOMS = ("core", "catalog", "manifest", "settings.py")
"""Where a row becomes a job."""


def identity_of(source: Source) -> str | None:
    """Hex SHA-256 of the manifest's bytes, where it lies, how it is read, and by what program; about 1 GB/s.

    None where that cannot be told: a program without its source files may have become another one unseen. Raises
    `ManifestError` and `BrokenFileError` where the file cannot be read.
    """
    program = _program(_libraries(source.kind))
    if program is None:
        return None
    digest = sha256(_joined((program, source.kind, source.file, source.folder)))
    with source.open() as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _libraries(kind: Kind) -> tuple[str, ...]:
    """The versions of the libraries that read a manifest of this kind; that of YAML is imported by then."""
    if kind is not Kind.YAML:
        return (msgspec.__version__,)
    import yaml

    return msgspec.__version__, yaml.__version__


@cache
def _program(libraries: tuple[str, ...]) -> str | None:
    """Digest of the code, the shipped data and the libraries that read a manifest."""
    paths = [path for room in _ROOMS for path in _files(_PACKAGE / room)]
    if not any(path.suffix == ".py" for path in paths):
        return None
    digest = sha256(_joined((sys.version, *libraries)))
    for path in paths:
        digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(room: Path) -> list[Path]:
    found = [room] if room.is_file() else room.rglob("*")
    return sorted(path for path in found if path.suffix in {".py", ".json", ".yaml"})


def _joined(parts: Iterable[str]) -> bytes:
    """The parts so that no two lists of them give the same bytes."""
    encoded = [part.encode("utf-8", "surrogateescape") for part in parts]
    return b"".join(b"%d:%s," % (len(part), part) for part in encoded)

"""Where a page finds a job's videos and pictures: file paths as URLs that no character of a name can turn into more."""

import os
import re
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

_PLAIN = re.compile(r"[A-Za-z0-9._~/-]*")
"""Paths of which nothing needs to be percent-encoded, which most are."""


class Links(Protocol):
    """The URLs of one page."""

    def video(self, seq: int, number: int, path: str) -> str:
        """Of a job's video; `path` is relative to the output folder."""

    def picture(self, seq: int, number: int, path: str) -> str:
        """Of a local file that a job names; `path` is absolute."""


class FileLinks:
    """Relative to the page's own place, so that the folder can be moved or copied as a whole."""

    def __init__(self, folder: Path, page: Path) -> None:
        self._folder = os.path.abspath(folder)  # noqa: PTH100 - textual: a browser knows nothing of links between folders
        self._base = os.path.dirname(os.path.abspath(page))  # noqa: PTH100, PTH120 - the same
        below = os.path.relpath(self._folder, self._base)
        self._prefix = "" if below == "." else f"{_quoted(below)}/"

    def video(self, seq: int, number: int, path: str) -> str:  # noqa: ARG002 - the path says it all
        return f"{self._prefix or './'}{_quoted(path)}"

    def picture(self, seq: int, number: int, path: str) -> str:  # noqa: ARG002 - the path says it all
        return f"./{_quoted(os.path.relpath(path, self._base))}"


def _quoted(path: str) -> str:
    return path if _PLAIN.fullmatch(path) else quote(os.fsencode(path), safe="/")

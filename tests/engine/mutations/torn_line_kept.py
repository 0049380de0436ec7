"""Promise 3: a results line is valid JSON and written once. Here nothing beyond the known length is cut."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.engine.replacing import replaced

CAUGHT = r"results.jsonl"


@contextmanager
def broken() -> Iterator[None]:
    with replaced(os, "ftruncate", lambda _descriptor, _length: None):
        yield

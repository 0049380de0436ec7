"""Promise 5: nothing is bought that cannot be saved. Here nobody looks at the disk."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.engine.health import Health
from tests.engine.replacing import replaced

CAUGHT = r"while the disk was full"


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Health, "complaint", lambda *_, **__: None):
        yield

"""Promise 3: what lands is whole. Here a new attempt's download goes on where the old task's broke off."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.engine.replacing import replaced
from tests.engine.store import SimulatedStore

CAUGHT = r"is mixed from"


async def _keep(_store: SimulatedStore, _output: str) -> None:
    """As if the engine had never asked."""


@contextmanager
def broken() -> Iterator[None]:
    with replaced(SimulatedStore, "discard", _keep):
        yield

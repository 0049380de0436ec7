"""Promise 5: when submitting has stopped nothing leaves. Here what is connecting by then is sent all the same."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.body import Body
from pipeline.core.jobs import Job, Task
from tests.engine.replacing import replaced
from tests.engine.service import SimulatedService

CAUGHT = r"left (after|while)"

_submit = SimulatedService.submit


async def _deaf(service: SimulatedService, job: Job, body: Body, _wanted: object) -> Task | None:
    return await _submit(service, job, body, lambda: True)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(SimulatedService, "submit", _deaf):
        yield

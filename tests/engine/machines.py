"""A service with a limit of tasks and with machines, for runs on virtual time that keep their slots filled."""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.core.body import Body
from pipeline.core.errors import RateLimitedError
from pipeline.core.jobs import Job, Task, TaskReport
from tests.engine.fakes import RUNNING, FakeService, now, success


@dataclass(slots=True)
class Machines(FakeService):
    """Refuses a task beyond its limit, and runs as many at once as it has machines; the others wait."""

    limit: float = math.inf
    machines: int = 10**9
    seconds: Callable[[Job], float] = lambda _job: 50.0
    """That a job's task takes on its machine."""
    refused: int = 0
    most: int = 0
    """Tasks at a time."""
    _ends: list[float] = field(default_factory=list)
    _free: list[float] = field(default_factory=list)

    async def submit(self, job: Job, body: Body, wanted: Callable[[], bool]) -> Task | None:
        task = await FakeService.submit(self, job, body, wanted)
        if task is None:
            return None
        while self._ends and self._ends[0] <= now():
            heapq.heappop(self._ends)
        if len(self._ends) >= self.limit:
            self.refused += 1
            del self.created[task.task_id]
            raise RateLimitedError("too many", code="rate_limit", http_status=429)
        busy = len(self._free) >= self.machines
        self.created[task.task_id] = (heapq.heappop(self._free) if busy else now()) + self.seconds(job)
        for heap in (self._ends, self._free):
            heapq.heappush(heap, self.created[task.task_id])
        self.most = max(self.most, len(self._ends))
        return task

    async def status(self, task: Task) -> TaskReport:
        self.asked.append((now(), task.task_id))
        return success(task.task_id) if now() >= self.created[task.task_id] else RUNNING

"""The producer: takes a slot, takes the next job, and buys it once."""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.core.errors import FatalError, RateLimitedError, RejectedError, Scope, ServiceError, TransientError
from pipeline.core.events import SubmittingPaused, SubmittingResumed
from pipeline.core.jobs import Failure, Record, Stage, Task
from pipeline.core.ports import Service
from pipeline.engine.account import Account
from pipeline.engine.desk import Desk, Stop
from pipeline.engine.poller import Pollers
from pipeline.engine.queue import JobQueue
from pipeline.engine.slots import Slot


@dataclass(frozen=True, slots=True)
class SubmitRules:
    """When submitting gives up; seconds."""

    outage_timeout: float = 900.0
    """Nothing but outages for this long stops submitting."""
    lost_in_a_row: int = 5
    """So many lost answers in a row stop submitting: each may have cost money."""
    unhealthy_wait: float = 1.0
    """Between two looks while submitting is paused for health."""


class Producer:
    """Keeps the slots filled while there is something to buy and buying is wise."""

    def __init__(
        self,
        crew: asyncio.TaskGroup,
        service: Service,
        desk: Desk,
        account: Account,
        jobs: JobQueue,
        pollers: Pollers,
        complaint: Callable[[], str | None],
        rules: SubmitRules,
    ) -> None:
        self._crew = crew
        self._service = service
        self._desk = desk
        self._account = account
        self._jobs = jobs
        self._pollers = pollers
        self._complaint = complaint
        self._rules = rules

    async def run(self) -> None:
        """Submit until nothing is left to submit, or submitting has stopped."""
        while (slot := await self._account.slots.take()) is not None:
            record = await self._next(slot)
            if record is None:
                return
            submit = self._crew.create_task(self._submit(record))
            submit.add_done_callback(functools.partial(self._hand_over, slot))

    def stop(self, stop: Stop) -> None:
        """Submit nothing more in this run."""
        self._desk.stop(stop)
        self._account.stop()

    async def _next(self, slot: Slot) -> Record | None:
        """The job that goes with the slot; the slot goes back where there is none."""
        record = None
        try:
            if await self._healthy():
                record = await self._jobs.next()
        finally:
            if record is None:
                slot.give_back()
        if record is not None:
            self._desk.take(record)
        return record

    async def _healthy(self) -> bool:
        """Wait while buying is unwise; False where submitting has stopped meanwhile."""
        paused = False
        while not self._account.stopped:
            complaint = self._complaint()
            if complaint is None:
                if paused:
                    self._desk.tell(SubmittingResumed(self._desk.now()))
                return True
            if self._desk.idle:
                # Nothing is under way that could free room: waiting would be waiting for a person.
                self.stop(Stop("disk", complaint))
                return False
            if not paused:
                paused = True
                self._desk.tell(SubmittingPaused(self._desk.now(), complaint))
            await self._account.wait(self._rules.unhealthy_wait)
        return False

    async def _submit(self, record: Record) -> Record | None:
        """See one job to its task, or to whatever else becomes of it."""
        async with self._account.turn() as cleared:
            if cleared and self._complaint() is None:
                return await self._buy(record)
        self._hand_back(record)
        return None

    def _hand_over(self, slot: Slot, submit: "asyncio.Task[Record | None]") -> None:
        """The slot goes with the task, or back: also where the submit was cancelled before its first step."""
        running = None if submit.cancelled() or submit.exception() else submit.result()
        if running is None:
            slot.give_back()
        else:
            self._jobs.settled()
            self._pollers.watch(running, slot)

    async def _buy(self, record: Record) -> Record | None:
        """One paid try: body, intent, request, task id. None where the job did not become a task."""
        try:
            body = await self._service.prepare(record.job)
        except RejectedError as error:  # this machine refused, which says nothing about the account
            await self._desk.refused(record, _failure(error))
            self._jobs.settled()
            return None
        try:
            record = await self._desk.intend(record, body, self._service.base_url)
            if self._account.stopped:
                self._hand_back(self._desk.withdraw(record))
                return None
            task = await self._send(record, body)
        except ServiceError as error:
            await self._refused(record, error)
            return None
        self._account.accepted()
        return await self._desk.accepted(record, task)

    async def _send(self, record: Record, body: bytes) -> Task:
        """The paid request, exactly once."""
        try:
            return await self._service.submit(record.job, body)
        except asyncio.CancelledError:
            self._desk.abandon(record, Failure(Stage.SUBMIT, "interrupted", "the run ended before the answer came"))
            raise

    async def _refused(self, record: Record, error: ServiceError) -> None:
        """What an error of the submit means for the job, for the pace, and for the run."""
        match error:
            case RateLimitedError():
                pause = self._account.rate_limited(error.retry_after, self._pollers.watched)
                self._again(record, error, pause, first=True)
            case TransientError():
                pause = self._account.unanswered(error.retry_after)
                self._again(record, error, pause, first=False)
                if self._account.outage() > self._rules.outage_timeout:
                    self.stop(Stop("outage", f"the service could not be reached: {error.message}"))
            case FatalError():
                self._hand_back(self._desk.withdraw(record))
                self.stop(Stop("refused", error.message, account_refused=True))
            case RejectedError(scope=Scope.MODEL):
                self._jobs.block(record.job.model)
                self._hand_back(self._desk.withdraw(record))
                self._account.rejected()
                self._desk.stop(Stop("refused", f"{record.job.model}: {error.message}", account_refused=True))
            case RejectedError():
                self._account.rejected()
                await self._desk.refused(record, _failure(error))
                self._jobs.settled()
            case _:
                await self._lost(record, error)

    async def _lost(self, record: Record, error: ServiceError) -> None:
        """The answer did not come: the job is unknown, and several in a row are no accident."""
        in_a_row = self._account.lost()
        await self._desk.lost(record, _failure(error))
        self._jobs.settled()
        if in_a_row >= self._rules.lost_in_a_row and not self._account.stopped:
            message = f"{in_a_row} submits in a row have an unknown outcome; the last one: {error.message}"
            self.stop(Stop("lost_answers", message))

    def _again(self, record: Record, error: ServiceError, pause: float, *, first: bool) -> None:
        """Surely nothing was created: the job goes back into the queue until the pause is over."""
        self._desk.call_failed("submit", record, error.code, error.message, pause)
        self._hand_back(self._desk.withdraw(record), first=first)

    def _hand_back(self, record: Record, *, first: bool = True) -> None:
        self._desk.let_go(record)
        self._jobs.hand_back(record, first=first)


def _failure(error: ServiceError) -> Failure:
    return Failure(Stage.SUBMIT, error.code, error.message, error.http_status)

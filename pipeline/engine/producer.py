"""The producer: takes a slot, takes the next job, and buys it once."""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from pipeline.core.body import Body
from pipeline.core.errors import (
    AmbiguousError,
    FatalError,
    RateLimitedError,
    RejectedError,
    Scope,
    ServiceError,
    TransientError,
)
from pipeline.core.events import SubmittingPaused, SubmittingResumed
from pipeline.core.jobs import Failure, Record, Stage, Task
from pipeline.core.ports import Service
from pipeline.core.values import Value
from pipeline.engine.account import Account
from pipeline.engine.budget import Verdict
from pipeline.engine.desk import Desk, Stop
from pipeline.engine.health import Complaint
from pipeline.engine.patience import Patience
from pipeline.engine.poller import Pollers
from pipeline.engine.queue import JobQueue
from pipeline.engine.slots import Slot

_TOLD_TWICE = 2
_Case = TypeVar("_Case")


class SubmitRules(Value):
    """When submitting gives up; seconds."""

    outage_timeout: float = 900.0
    """Nothing but outages for this long stops submitting."""
    lost_in_a_row: int = 5
    """So many lost answers in a row stop submitting: each may have cost money."""
    unhealthy_wait: float = 1.0
    """Between two looks while submitting is paused for health."""
    short_wait: float = 10.0
    """Before the next try where this machine is short of what making a request takes."""
    trace_pauses: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0, 40.0)
    """Before each question for a task by our own id; a fresh task may not be visible at once."""
    trace_for: float = 86_400.0
    """So long after a submit, a look-up that decided nothing is left to the next run. Results are kept for a day."""
    grace: float = 8.0
    """For answers that are outstanding when an error ends the run: they may name tasks that are paid for."""


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
        complaint: Callable[[], Complaint | None],
        reached: Callable[[], Awaitable[Stop]],
        patience: Patience,
        rules: SubmitRules,
    ) -> None:
        self._crew = crew
        self._service = service
        self._desk = desk
        self._account = account
        self._jobs = jobs
        self._pollers = pollers
        self._complaint = complaint
        self._reached = reached
        self._patience = patience
        self._rules = rules
        self._idle: list[_Hand] = []

    async def run(self) -> None:
        """Submit until nothing is left to submit, or submitting has stopped."""
        while (slot := await self._account.slots.take()) is not None:
            record = await self._next(slot)
            if record is None:
                return
            self._start(self._submit, record, slot)

    def adopt(self, record: Record) -> None:
        """Ask for the task of a submit that an earlier run left without an answer, by our own id for it."""
        self._jobs.adopt(record)
        lost = AmbiguousError("the run ended before the answer came", code="interrupted")
        self._start(self._trace, _Doubt(record, lost), self._account.slots.seize())

    def stop(self, stop: Stop) -> None:
        """Submit nothing more in this run."""
        self._desk.stop(stop)
        self._account.stop()

    async def _next(self, slot: Slot) -> Record | None:
        """The job that goes with the slot; the slot goes back where there is none."""
        record = None
        try:
            if await self._healthy():
                record = await self._affordable(await self._jobs.next())
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
                self.stop(Stop(complaint.reason, complaint.message))
                return False
            if not paused:
                paused = True
                self._desk.tell(SubmittingPaused(self._desk.now(), complaint.message))
            await self._account.wait(self._rules.unhealthy_wait)
        return False

    async def _affordable(self, record: Record | None) -> Record | None:
        """The job, once the budget allows it; None where that is never so, and submitting then has stopped.

        Attempts that are under way count at their worst: when they end, something of them may come back.
        """
        if record is None:
            return None
        while not self._account.stopped:
            verdict = self._desk.affordable(record)
            if verdict is Verdict.FITS:
                return record
            if verdict is Verdict.NEVER:
                self.stop(await self._reached())
                break
            await self._account.wait(self._rules.unhealthy_wait)
        self._jobs.hand_back(record, first=True)
        return None

    def _start(self, see: Callable[[_Case], Awaitable[Record | None]], case: _Case, slot: Slot) -> None:
        """Have somebody of the crew see to it: whoever has nothing to do, or somebody new."""
        while self._idle:
            hand = self._idle.pop()
            if not hand.waits.done():  # or it is on its way home
                hand.takes(see, case, slot)
                hand.waits.set_result(None)
                return
        hand = _Hand()
        hand.takes(see, case, slot)
        self._crew.create_task(self._work(hand)).add_done_callback(lambda _: self._hand_over(hand, None))

    async def _work(self, hand: "_Hand") -> None:
        """See to one submit after the other, for ever: a task for each would cost as much as the rest of it."""
        loop = asyncio.get_running_loop()
        while True:
            self._hand_over(hand, await hand.see(hand.case))
            hand.waits = loop.create_future()
            self._idle.append(hand)
            await hand.waits

    async def _submit(self, record: Record) -> Record | None:
        """See one job to its task, or to whatever else becomes of it."""
        named = self._named(record)
        try:  # before the turn: who waits for room for a picture keeps nobody from submitting
            body = await self._prepared(named)
        except RejectedError as error:  # this machine refused, which says nothing about the account
            await self._desk.refused(named, _failure(error))
            self._jobs.settled()
            return None
        if body is None:
            self._hand_back(record)
            return None
        with body:
            place = await self._account.turn()
            if place is None:
                self._hand_back(record)
                return None
            try:
                if not self._may_leave(record):
                    self._hand_back(record)
                    return None
                bought = await self._buy(record, named, body)
            finally:
                place.give_back()
        return await self._trace(bought) if isinstance(bought, _Doubt) else bought

    async def _prepared(self, record: Record) -> Body | None:
        """The body of the submit; None where submitting stopped while this machine could not make it.

        Raises `RejectedError`, also where it could not for as long as an outage may last.
        """
        waited = 0.0
        while True:
            try:
                return await self._service.prepare(record.job, record.external_id)
            except TransientError as error:
                if waited >= self._rules.outage_timeout:
                    raise RejectedError(error.message, code=error.code) from error
                self._desk.call_failed("submit", record, error.code, error.message, self._rules.short_wait)
            await self._account.wait(self._rules.short_wait)
            waited += self._rules.short_wait
            if self._account.stopped:
                return None

    def _may_leave(self, record: Record) -> bool:
        """Whether its request is wanted now; asked until it leaves."""
        return not self._account.stopped and self._jobs.wanted(record) and self._complaint() is None

    def _named(self, record: Record) -> Record:
        """The job with our own id for its next task, where its model carries one."""
        if record.external_id is None and self._service.traceable(record.job):
            return replace(record, external_id=_external_id(record, self._desk.now()))
        return record

    def _hand_over(self, hand: "_Hand", running: Record | None) -> None:
        """The slot goes with the task, or back: also where somebody is sent home before they have begun."""
        slot, hand.slot = hand.slot, None
        if slot is None:
            return
        if running is None:
            slot.give_back()
        else:
            self._jobs.settled()
            self._account.occupied(slot, running.job, self._pollers.watched + 1)
            self._pollers.watch(running, slot)

    async def _buy(self, queued: Record, record: Record, body: Body) -> "Record | _Doubt | None":
        """One paid try: intent, request, task id. None where the job did not become a task."""
        try:
            intended = await self._desk.intend(record, body, self._service.base_url)
            if intended is None:  # the budget went to others meanwhile: `_affordable` waits, or stops
                self._hand_back(queued)
                return None
            record = intended
            task = await self._send(queued, record, body)
        except ServiceError as error:
            return await self._failed(queued, record, error)
        return await self._answered(record, task)

    async def _send(self, queued: Record, record: Record, body: Body) -> Task | None:
        """The paid request, exactly once; None where submitting stopped before it left."""
        answer: asyncio.Future[Task | None] = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(self._ask(record, body, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            await self._last_look(body, asking)
            await self._sent_home(queued, record, body, asking)
            raise
        except ServiceError:
            raise
        except Exception:  # a gone disk at the last look, or a bug; it ends the run
            self._take_back(record, body)
            raise

    async def _ask(self, record: Record, body: Body, answer: "asyncio.Future[Task | None]") -> Task | None:
        """In a task of its own, which goes on when whoever waits for the answer is sent home meanwhile."""
        task = None
        try:
            if self._may_leave(record):
                task = await self._service.submit(record.job, body, lambda: self._may_leave(record))
        except BaseException as error:
            if answer.done():
                raise
            answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(task)
        return task

    async def _last_look(self, body: Body, asking: "asyncio.Future[Task | None]") -> None:
        """The run ends before the answer came: it is waited for as long as there is patience, and no longer.

        What has not left costs nothing, and is not waited for.
        """
        self._patience.shorten(self._rules.grace)  # an error came without a word; a stop has had its grace
        with contextlib.suppress(asyncio.CancelledError):  # told twice; whoever calls passes it on
            async with self._patience.limit():
                if body.sent:
                    await asyncio.wait([asking])
        while not asking.done():  # its connection is closed before the client is
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # told once more
                await asyncio.wait([asking])

    async def _sent_home(
        self, queued: Record, record: Record, body: Body, asked: "asyncio.Future[Task | None]"
    ) -> None:
        """Write down what became of a request when nobody goes on with it: the next run does.

        Where no answer came, what has an id of ours stays `submitting`: the next run asks for it.
        """
        if asked.cancelled():
            if not body.sent:
                await self._answered(record, None)
            elif record.external_id is None:
                failure = Failure(Stage.SUBMIT, "interrupted", "the run ended before the answer came")
                self._desk.abandon(record, failure)
            return
        error = asked.exception()
        if error is None:
            left = await self._answered(record, asked.result())
        elif isinstance(error, ServiceError):
            doubt = await self._failed(queued, record, error)
            left = None if doubt is None else doubt.record
        else:
            self._take_back(record, body)
            raise error  # which is seen; the job stays `submitting` where its request may have left
        if left is not None:
            self._desk.leave(left, "the run ended")

    def _take_back(self, record: Record, body: Body) -> None:
        """The job is queued again where its request has surely not left."""
        if not body.sent:
            self._hand_back(self._desk.withdraw(record))

    async def _answered(self, record: Record, task: Task | None) -> Record | None:
        """The service has the task; or there is none, as the request was not sent."""
        if task is None:
            self._hand_back(self._desk.withdraw(record))
            return None
        self._account.accepted(self._pollers.watched)
        return await self._desk.accepted(record, task)

    async def _failed(self, queued: Record, record: Record, error: ServiceError) -> "_Doubt | None":
        """The service refused, or failed to answer."""
        if isinstance(error, RejectedError) and error.scope is Scope.JOB and queued.external_id is not None:
            return _Doubt(record, error)  # our id may be taken by the task of the answer that was lost before
        return await self._refused(record, error)

    async def _refused(self, record: Record, error: ServiceError) -> "_Doubt | None":
        """What an error of the submit means for the job, for the pace, and for the run."""
        match error:
            case RateLimitedError():
                pause = self._account.rate_limited(error.retry_after, self._pollers.watched)
                self._again(record, error, pause, first=True)
            case TransientError():
                pause = self._account.unanswered(error.retry_after)
                self._again(record, error, pause, first=False)
                if self._account.outage() > self._rules.outage_timeout:
                    self.stop(
                        Stop("outage", f"for {self._rules.outage_timeout:g} s no submit got through: {error.message}")
                    )
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
                return await self._lost(record, error)
        return None

    async def _lost(self, record: Record, error: ServiceError) -> "_Doubt | None":
        """The answer did not come: the job is unknown, unless it can be looked up; several in a row are no accident.

        An answer that leaves it open whether there is a task may close the account all the same: its scope is the run.
        """
        in_a_row = self._account.lost()
        doubt = _Doubt(record, error) if record.external_id is not None else None
        if doubt is None:
            await self._desk.lost(record, _failure(error))
            self._jobs.settled()
        if error.scope is Scope.RUN:
            self.stop(Stop("refused", error.message, account_refused=True))
        if in_a_row >= self._rules.lost_in_a_row and not self._account.stopped:
            message = f"{in_a_row} submits in a row have an unknown outcome; the last one: {error.message}"
            self.stop(Stop("lost_answers", message))
        return doubt

    async def _trace(self, doubt: "_Doubt") -> Record | None:
        """Ask for the task by our own id (modelverse-api.md §8): adopt it, or believe in its absence, told twice.

        Questions that fail decide nothing: the next run asks again, as after a crash, until that is of no use any more.
        """
        record, absent = doubt.record, 0
        for pause in self._rules.trace_pauses:
            await self._account.wait(pause)
            if self._account.stopped:
                self._desk.leave(record, "its submit is looked up by the next run")
                self._jobs.settled()
                return None
            try:
                task = await self._service.find(str(record.external_id), record.base_url or self._service.base_url)
            except ServiceError as error:
                self._desk.call_failed("status", record, error.code, error.message, pause)
                if isinstance(error, FatalError):
                    self.stop(Stop("refused", error.message, account_refused=True))
                continue
            if task is not None:
                return await self._desk.accepted(record, task)
            absent += 1
            if absent == _TOLD_TWICE:
                await self._absent(doubt)
                return None
        if self._desk.now() - (record.submitted_at or 0.0) < self._rules.trace_for:
            self._desk.leave(record, "nothing could be learned of its submit: the next run asks again")
        else:
            await self._desk.lost(record, _failure(doubt.error))
        self._jobs.settled()
        return None

    async def _absent(self, doubt: "_Doubt") -> None:
        """No task has our id: the refusal was meant as it was said, or the job is submitted again under the same id."""
        if isinstance(doubt.error, RejectedError):
            await self._refused(doubt.record, doubt.error)
        else:
            self._again(doubt.record, doubt.error, 0.0, first=True, doubted=True)

    def _again(self, record: Record, error: ServiceError, pause: float, *, first: bool, doubted: bool = False) -> None:
        """Surely nothing was created: the job goes back into the queue until the pause is over."""
        self._desk.call_failed("submit", record, error.code, error.message, pause)
        self._hand_back(self._desk.withdraw(record, doubted=doubted), first=first)

    def _hand_back(self, record: Record, *, first: bool = True) -> None:
        self._desk.let_go(record)
        self._jobs.hand_back(record, first=first)


class _Hand:
    """Somebody of the crew who submits: what they see to, with the slot that goes with it, or what they wait for."""

    __slots__ = ("case", "see", "slot", "waits")

    see: Callable[[Any], Awaitable[Record | None]]
    case: Any
    slot: Slot | None
    waits: asyncio.Future[None]

    def takes(self, see: Callable[[Any], Awaitable[Record | None]], case: Any, slot: Slot) -> None:
        """From now on they see to this."""
        self.see, self.case, self.slot = see, case, slot


class _Doubt(Value):
    """A submit without a sure answer whose task can be looked up."""

    record: Record
    error: ServiceError


def _external_id(record: Record, now: float) -> str:
    """Our own id for the job's next attempt: unique for the account, and never used for another body."""
    of = f"{record.job.job_id}/{record.job.digest}/{record.attempt + 1}/{now!r}"
    return f"vbp-{hashlib.sha256(of.encode()).hexdigest()[:24]}"


def _failure(error: ServiceError) -> Failure:
    return Failure(Stage.SUBMIT, error.code, error.message, error.http_status)

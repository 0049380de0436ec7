"""The pollers: a small pool asks about every running task when its time has come, and frees its slot when it ends."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.core.clock import Clock
from pipeline.core.errors import FatalError, RateLimitedError, RejectedError, ServiceError
from pipeline.core.events import QuestionsLate, StrangeStatus
from pipeline.core.jobs import Failure, Record, Stage, Task, TaskReport, TaskState
from pipeline.core.ports import Service
from pipeline.core.values import Value
from pipeline.engine.account import Account
from pipeline.engine.asking import ask
from pipeline.engine.backoff import Backoff
from pipeline.engine.desk import Desk, Stop
from pipeline.engine.due import DueQueue
from pipeline.engine.health import Health
from pipeline.engine.lateness import Lateness
from pipeline.engine.learned import observed
from pipeline.engine.schedule import Course, Schedule
from pipeline.engine.slots import Slot
from pipeline.modelverse.wire import task_failure


class PollRules(Value):
    """When a task is no longer asked about; counts are questions in a row, seconds otherwise."""

    task_timeout: float = 3600.0
    """A task older than this gives its slot back and stays `running` for the next run."""
    asked_at_least: int = 3
    """…but not before it was asked about so often in this run."""
    refusals: int = 6
    """Answers "no such task" after which the job is `unknown`: a fresh id may not be visible at once."""
    fatal_answers: int = 3
    """Refusals of the account after which the task is left for the next run."""
    empty_answers: int = 5
    """Successes without a URL after which the job has failed."""
    longest_pause: float = 60.0
    """No pause that the service asks for is longer."""
    rate: float | None = None
    """Questions per second at most."""
    too_late: float = 1.0
    """Questions that leave so much after their due times, on average, are told of."""
    told_every: float = 10.0
    """…and so often."""


@dataclass(slots=True, eq=False)
class Watch:
    """A running task as one poller after the other sees it; it owns the slot."""

    record: Record
    task: Task
    slot: Slot
    course: Course
    """As the schedule follows it, on loop time; its birth lies in the past of an adopted task."""
    due: float = 0.0
    """Loop time of the next question."""
    asked: int = 0
    """Answers so far."""
    failures: int = 0
    """Questions in a row without an answer."""
    refusals: int = 0
    fatal_answers: int = 0
    empty_answers: int = 0
    strange: bool = False
    over: bool = False
    """Nobody asks any more; the slot is back."""


class Pollers:
    """The pool and its heap of due times."""

    def __init__(
        self,
        service: Service,
        desk: Desk,
        health: Health,
        account: Account,
        *,
        schedule: Schedule,
        backoff: Backoff,
        rules: PollRules,
        clock: Clock,
        fetch: Callable[[Record], None],
        learned: Callable[[], None],
    ) -> None:
        self._service = service
        self._desk = desk
        self._health = health
        self._schedule = schedule
        self._backoff = backoff
        self._rules = rules
        self._clock = clock
        self._fetch = fetch
        self._account = account
        self._learned = learned
        self._due: DueQueue[Watch] = DueQueue(rules.rate)
        self._lateness = Lateness()
        self._tell_at = 0.0
        self._paused_until = 0.0
        self._dismissed: str | None = None
        self.watched = 0
        """Tasks that are being asked about."""

    def watch(self, record: Record, slot: Slot) -> None:
        """Look after a running task from now on; the slot comes with it."""
        if record.task is None:
            raise ValueError(f"job {record.job.job_id} has no task to watch")
        now = self._clock.monotonic()
        age = max(0.0, self._clock.time() - (record.submitted_at or self._clock.time()))
        watch = Watch(record, record.task, slot, Course(record.job.kind, born=now - age))
        self.watched += 1
        self._ask_at(watch, now + self._schedule.begin(watch.course, now))

    def dismiss(self, reason: str) -> None:
        """Ask no more: every task is left for the next run, its slot given back."""
        self._dismissed = reason
        for watch in self._due.clear():
            self._leave(watch, reason)

    async def run(self) -> None:
        """One poller: ask about whatever is due, for ever."""
        while True:
            watch = await self._due.get()
            try:
                await self._ask(watch)
            except BaseException:  # sent home, or a bug on its way to the crew: nobody else gives the slot back
                if not watch.over:
                    self._leave(watch, "the run ended")
                raise

    async def _ask(self, watch: Watch) -> None:
        now = self._clock.monotonic()
        if now < self._paused_until:
            self._ask_at(watch, self._paused_until)
            return
        self._note_lateness(watch, now)
        try:
            report = await ask(self._service, watch.record)
        except ServiceError as error:
            await self._unanswered(watch, error)
            return
        self._health.failed_questions = 0
        watch.asked += 1
        watch.failures = watch.refusals = watch.fatal_answers = 0
        if report.state.ended:
            await self._ended(watch, report)
        else:
            self._not_yet(watch, report)

    def _note_lateness(self, watch: Watch, now: float) -> None:
        late = now - watch.due
        self._lateness.note(now, late if late > 0.0 else 0.0)  # noqa: FURB136 - `max` takes ten times as long
        if now >= self._tell_at:
            self._tell_lateness(now)

    def _tell_lateness(self, now: float) -> None:
        self._tell_at = now + self._rules.told_every
        late = self._lateness.lately(now)
        if late.mean > self._rules.too_late:
            mend = "raise --pollers" if self._rules.rate is None else "raise status_rps or --pollers"
            self._desk.tell(QuestionsLate(self._desk.now(), late.mean, late.worst, mend))

    # -- an answer --------------------------------------------------------------------------------------------------

    async def _ended(self, watch: Watch, report: TaskReport) -> None:
        if not watch.empty_answers:
            self._learn(watch.course, report)
        if report.state is not TaskState.SUCCEEDED:
            self._give_up_slot(watch)
            await self._desk.task_failed(watch.record, report, task_failure(report))
        elif report.urls:
            self._give_up_slot(watch)
            self._fetch(self._desk.finished(watch.record, report))
        elif watch.empty_answers + 1 >= self._rules.empty_answers:
            self._give_up_slot(watch)
            await self._desk.task_failed(watch.record, report, _no_result(report))
        else:
            self._not_yet(watch, report)

    def _learn(self, course: Course, report: TaskReport) -> None:
        """What the end of a task says about others of its kind."""
        now = self._clock.monotonic()
        after = None if course.seen is None else course.seen - course.born
        self._schedule.ended(course, now, observed(report.submit_time, report.finish_time, after, now - course.born))
        self._learned()

    def _not_yet(self, watch: Watch, report: TaskReport) -> None:
        """The task goes on, as far as we can tell."""
        now, course, state = self._clock.monotonic(), watch.course, report.state
        self._schedule.saw(course, now, state)
        if state is TaskState.UNRECOGNISED and not watch.strange:
            watch.strange = True
            self._desk.tell(StrangeStatus(self._desk.now(), watch.record.job.job_id, report.word))
        age = now - course.born
        if age > self._rules.task_timeout and watch.asked >= self._rules.asked_at_least:
            self._leave(watch, f"it has been running for {age:,.0f} s")
            return
        wait = self._schedule.delay(course, now)
        if state is TaskState.SUCCEEDED:  # its URLs may come minutes later; the schedule knows ends only
            watch.empty_answers += 1
            wait = max(wait, self._backoff.delay(watch.empty_answers + 2))
        self._ask_at(watch, now + wait)

    # -- no answer --------------------------------------------------------------------------------------------------

    async def _unanswered(self, watch: Watch, error: ServiceError) -> None:
        """A failed question says nothing about the task: ask again, more slowly."""
        watch.failures += 1
        wait = self._backoff.delay(watch.failures, min(error.retry_after or 0.0, self._rules.longest_pause))
        if isinstance(error, RateLimitedError):
            self._paused_until = max(self._paused_until, self._clock.monotonic() + wait)
            self._account.hold(wait)
        elif isinstance(error, FatalError):
            watch.fatal_answers += 1
            self._account.stop()
            self._desk.stop(Stop("refused", error.message, account_refused=True))
        elif isinstance(error, RejectedError):
            watch.refusals += 1
        else:
            self._health.failed_questions += 1
        await self._after_silence(watch, error, wait)

    async def _after_silence(self, watch: Watch, error: ServiceError, wait: float) -> None:
        age = self._clock.monotonic() - watch.course.born
        if watch.refusals >= self._rules.refusals:
            self._give_up_slot(watch)
            await self._desk.vanished(watch.record, _vanished(watch.task, error))
        elif watch.fatal_answers >= self._rules.fatal_answers:
            self._leave(watch, f"the service refuses to answer: {error.message}")
        elif age > self._rules.task_timeout and watch.failures >= self._rules.asked_at_least:
            self._leave(watch, f"status calls fail: {error.message}")
        else:
            self._desk.call_failed("status", watch.record, error.code, error.message, wait)
            self._ask_at(watch, self._clock.monotonic() + wait)

    # -- the watch --------------------------------------------------------------------------------------------------

    def _ask_at(self, watch: Watch, at: float) -> None:
        if self._dismissed is not None:
            self._leave(watch, self._dismissed)
        else:
            watch.due = at
            self._due.put(watch, at)

    def _give_up_slot(self, watch: Watch) -> None:
        """The task needs no slot and no question any more."""
        self.watched -= 1
        watch.over = True
        self._schedule.leave(watch.course)
        watch.slot.give_back()

    def _leave(self, watch: Watch, reason: str) -> None:
        self._give_up_slot(watch)
        self._desk.leave(watch.record, reason)


def _no_result(report: TaskReport) -> Failure:
    return Failure(Stage.GENERATE, "no_result", f"the task succeeded without a usable URL: {report.excerpt}")


def _vanished(task: Task, error: ServiceError) -> Failure:
    message = f"the service does not know task {task.task_id} any more: {error.message}"
    return Failure(Stage.GENERATE, "task_unknown", message, error.http_status)

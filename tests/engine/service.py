"""The simulated service: it accepts, forgets, refuses and loses answers as the world's odds have it."""

import asyncio
import math
from collections.abc import Callable
from typing import NoReturn

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
from pipeline.core.jobs import Job, Task, TaskReport, TaskState
from tests.engine.world import BASE_URL, TRACEABLE, UNREADABLE, TrueTask, World

SUBMIT_TIMEOUT = 90.0
STATUS_TIMEOUT = 30.0
SLOW_CONNECTION = 12.0
STUCK = 5_000.0
"""Seconds; longer than the shorter task timeouts."""
_LOSSES = ("connection_lost", "timeout", "not_json", "internal_error", "gateway_timeout_error")
"""Codes of an answer that did not come, or says nothing: modelverse-api.md §7."""


class SimulatedService:
    """`Service` with odds; each call takes virtual time before and after the moment of truth."""

    base_url = BASE_URL

    def __init__(self, world: World) -> None:
        self._world = world

    def traceable(self, job: Job) -> bool:
        return job.model in TRACEABLE

    async def prepare(self, job: Job, external_id: str | None = None) -> Body:
        await asyncio.sleep(self._world.rng.choice([0.0, 0.0, 0.1]))
        self._world.called()
        # Absence, told twice, is believed (modelverse-api.md §8), and nobody asks again where no submit can follow.
        denied = external_id in self._world.by_external_id
        if not denied and self._world.luck(self._world.odds.unreadable, "unreadable local file"):
            raise RejectedError("the picture has changed", code=UNREADABLE)
        return Body.of(f"{job.digest} {external_id or ''}".encode())

    async def submit(self, job: Job, body: Body, wanted: Callable[[], bool]) -> Task | None:
        world, odds = self._world, self._world.odds
        if world.luck(odds.slow_connection, "slow connection of a submit"):
            await asyncio.sleep(SLOW_CONNECTION)
            if not wanted():
                world.met["submit that nobody wanted any more"] += 1
                return None
        body.sent = True
        task = self._think_up(job, world.onlooker.submit_leaves(job), body.whole().decode().partition(" ")[2] or None)
        await self._travel(task)
        world.called()
        refusal = self._refusal(job)
        if refusal is not None:
            await self._latency()
            if refusal.scope is not Scope.JOB:
                world.onlooker.refused(job.model if refusal.scope is Scope.MODEL else None)
            raise refusal
        if task.external_id in world.by_external_id:
            await self._latency()
            world.met["our own id was taken"] += 1
            raise RejectedError("external_task_id must be unique", code="param_error", http_status=400)
        world.onlooker.submit_risked(job, task.attempt)
        if world.luck(odds.lost_before, "lost before acceptance"):
            await self._lose()
        self._accept(task)
        if world.luck(odds.lost_after, "lost after acceptance"):
            await self._lose()
        await self._latency()
        task.told = True
        world.onlooker.accepted()
        return Task(task.task_id, BASE_URL, request_id="r")

    async def status(self, task: Task) -> TaskReport:
        world = self._world
        world.onlooker.question_leaves(world.tasks[task.task_id].job_id, task.task_id)
        await self._latency()
        world.called()
        await self._fail_question()
        report = self._report(world.tasks[task.task_id])
        await self._latency()
        return report

    async def find(self, external_id: str, base_url: str) -> Task | None:
        await self._latency()
        self._world.called()
        await self._fail_question()
        truth = self._world.by_external_id.get(external_id)
        await self._latency()
        if truth is None or self._unseen(truth):
            self._world.met["look-up without a find"] += 1
            return None
        self._world.met["look-up with a find"] += 1
        truth.told = True
        self._world.onlooker.accepted()
        return Task(truth.task_id, BASE_URL)

    # -- on the way ---------------------------------------------------------------------------------------------------

    async def _travel(self, task: TrueTask) -> None:
        """The request is on its way: where the client dies or lets go meanwhile, it may arrive all the same."""
        arrives_anyway, arrived = self._world.rng.random() < 0.5, False
        try:
            await self._latency()
            arrived = True
        finally:
            if not arrived and arrives_anyway and task.external_id not in self._world.by_external_id:
                self._accept(task)
                self._world.met["accepted after the client was gone"] += 1

    async def _latency(self) -> None:
        await asyncio.sleep(self._world.rng.expovariate(1.0 / self._world.odds.latency))

    async def _lose(self) -> NoReturn:
        code = self._world.rng.choice(_LOSSES)
        self._world.met[f"submit ends in {code}"] += 1
        if code == "timeout":
            await asyncio.sleep(SUBMIT_TIMEOUT)
        else:
            await self._latency()
        raise AmbiguousError("the answer was lost", code=code)

    # -- refusals -----------------------------------------------------------------------------------------------------

    def _refusal(self, job: Job) -> ServiceError | None:
        world, odds = self._world, self._world.odds
        if world.holds(odds.closed, "account refused"):
            return FatalError("quota exceeded", code="forbidden", http_status=403, scope=Scope.RUN)
        if job.model == world.closed_model and world.holds(odds.model_closed, "model refused"):
            return RejectedError("not your model", code="model_error", http_status=400, scope=Scope.MODEL)
        if world.holds(odds.down, "submit during an outage"):
            return TransientError("no route", code="connect_failed")
        running = sum(task.ends > world.now for task in world.tasks.values())
        if odds.account_limit is not None and running >= odds.account_limit:
            world.met["429 at the account's limit"] += 1
            return RateLimitedError("too many", code="rate_limit", http_status=429)
        if world.luck(odds.rate_limited, "429 on submit"):
            after = world.rng.choice([None, 1.0, 7.0])
            return RateLimitedError("too many", code="rate_limit", http_status=429, retry_after=after)
        if world.luck(odds.outage, "503 on submit"):
            return TransientError("try later", code="unavailable", http_status=503)
        if world.luck(odds.rejected, "moderated"):
            return RejectedError("sensitive", code="sensitive_check_error", http_status=400)
        return None

    async def _fail_question(self) -> None:
        world, odds = self._world, self._world.odds
        if odds.closed_to_questions and world.holds(odds.closed, "question refused"):
            await self._latency()
            world.onlooker.refused(None)
            raise FatalError("the key is refused", code="auth_error", http_status=401, scope=Scope.RUN)
        if world.holds(odds.down, "question during an outage"):
            raise TransientError("no route", code="connect_failed")
        if world.luck(odds.status_failure, "failed question"):
            code = world.rng.choice(_LOSSES)
            world.met[f"question ends in {code}"] += 1
            if code == "timeout":
                await asyncio.sleep(STATUS_TIMEOUT)
            raise TransientError("no answer", code=code)
        if world.luck(odds.status_rate_limited, "429 on status"):
            raise RateLimitedError("too many", code="rate_limit", http_status=429)

    # -- tasks --------------------------------------------------------------------------------------------------------

    def _think_up(self, job: Job, attempt: int, external_id: str | None) -> TrueTask:
        """The task that the request will create if it arrives: all its luck is drawn before anybody can die."""
        world, odds, rng = self._world, self._world.odds, self._world.rng
        world.drawn += 1
        duration = rng.lognormvariate(0.0, 0.4) * odds.duration
        bad = rng.choice([TaskState.FAILED, TaskState.EXPIRED, TaskState.CANCELLED])
        never_visible = external_id is None and world.luck(odds.never_visible, "task that never appears")
        return TrueTask(
            f"t{world.drawn:04d}-{job.job_id}",
            job.job_id,
            attempt,
            duration + (STUCK if world.luck(odds.stuck, "stuck task") else 0.0),
            bad if world.luck(odds.task_failure, "failed task") else TaskState.SUCCEEDED,
            external_id,
            cheap=world.drawn % 2 == 0,
            videos=2 if world.luck(odds.second_video, "second video") else 1,
            empty_answers=2 if world.luck(odds.empty_success, "success without a URL") else 0,
            invisible=math.inf if never_visible else 2 if world.luck(odds.invisible, "task that appears late") else 0,
            patience=rng.randrange(1, 4) if world.luck(odds.forgotten, "forgotten task") else math.inf,
        )

    def _accept(self, task: TrueTask) -> None:
        world = self._world
        task.created = world.now
        world.tasks[task.task_id] = task
        if task.external_id:
            world.by_external_id[task.external_id] = task
        world.onlooker.created()

    def _report(self, truth: TrueTask) -> TaskReport:
        world = self._world
        truth.forgotten = truth.forgotten or (truth.ends <= world.now and truth.patience <= 0)
        if self._unseen(truth) or truth.forgotten:
            world.met["404 for a task that was paid for"] += 1
            raise RejectedError("no such task", code="not_found", http_status=404)
        if world.luck(world.odds.strange_word, "strange word"):
            return TaskReport(TaskState.UNRECOGNISED, "Dreaming")
        if truth.ends > world.now:
            return TaskReport(TaskState.RUNNING, "Running")
        truth.patience -= 1
        if truth.state is not TaskState.SUCCEEDED:
            return TaskReport(truth.state, str(truth.state), error_message="code=Oops, message=it failed")
        if truth.empty_answers > 0:
            truth.empty_answers -= 1
            return TaskReport(truth.state, "Success")
        times = {"submit_time": truth.created, "finish_time": truth.ends}
        return TaskReport(truth.state, "Success", self._urls(truth), **times, usage={"cost": truth.charge(world.now)})

    def _unseen(self, truth: TrueTask) -> bool:
        truth.asked += 1
        return truth.asked <= truth.invisible

    def _urls(self, truth: TrueTask) -> tuple[str, ...]:
        expires = self._world.now + self._world.odds.link_life
        return tuple(f"https://results.example/{truth.task_id}/{n}?expires={expires}" for n in range(truth.videos))

"""The rules of the service: the lives of tasks, refusals, scripted trouble. Time is an argument."""

import heapq
import math
import uuid
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pipeline.emulator.bodies import MODELS, BadBodyError, Submission
from pipeline.emulator.links import Links
from pipeline.emulator.replies import Reply, accept, html_reply, json_reply, refuse, retry_after, spoil
from pipeline.emulator.scenario import Place, Scenario, Trouble

_OUTPUT = "/output/"
_MODERATED = "code=DataInspectionFailed, message=Input text data may contain inappropriate content."
_FAILED = "code=GenerationFailed, message=The described motion could not be reconciled with the picture."


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTask:
    """A task with its whole life, which is settled when it is accepted. Times are Unix seconds."""

    task_id: str
    number: int
    """Counted from 1 in the order of acceptance."""
    model: str
    prompt: str
    picture: str | None
    """Name of the stored picture, or the URL of one that is not fetched."""
    duration: int
    size: tuple[int, int]
    seed: int
    external_id: str | None
    submitted: float
    started: float
    finished: float | None
    """None: never."""
    word: str
    """The status word that it ends with."""
    error_message: str | None
    files: int

    def state(self, now: float) -> str:
        """The status word at a moment."""
        if now < self.started:
            return "Pending"
        return "Running" if self.finished is None or now < self.finished else self.word


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the emulator has seen since it was started."""

    submits: int
    """Submit calls, whatever became of them."""
    tasks: int
    """Tasks accepted: what a real batch would have paid for."""
    questions: int
    downloads: int
    """Requests for result files."""
    troubles: int
    """Calls and tasks that a rule of the scenario met."""
    leaked_keys: int
    """Requests for result files that carried an `Authorization` header."""
    peak: int
    """Most unfinished tasks at a time."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A result file to be sent, and what is to go wrong with it."""

    task: RemoteTask
    trouble: Trouble | None
    turn: int
    """Counts the requests for this file, from 1."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of the picture of a submission before its task is made."""

    picture: str | None = None
    """Name of the stored picture, or the URL of one that is not fetched; None without one."""
    complaint: str | None = None
    """The `error_message` of the task, where the picture is none."""


class Service:
    """One account at one service. All methods are synchronous and return what is to be sent."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        links: Links,
        results_url: str = "",
        speed: float = 1.0,
        api_key: str | None = None,
        known: Iterable[RemoteTask] = (),
    ) -> None:
        self.results_url = results_url
        self._scenario, self._links, self._speed, self._api_key = scenario, links, speed, api_key
        self._tasks: dict[str, RemoteTask] = {}
        self._by_external_id: dict[str, RemoteTask] = {}
        self._count: Counter[str] = Counter()
        self._turns: Counter[tuple[str, str]] = Counter()
        self._recent: deque[float] = deque()
        self._machines: list[float] = []
        self._ends: list[float] = []
        self._peak = 0
        for task in known:
            self._remember(task)

    # -- the three calls

    def submit(
        self, now: float, authorization: str | None, submission: Submission | BadBodyError, intake: Intake
    ) -> tuple[Reply, RemoteTask | None]:
        """The answer to a submit, and the task where one was made: it must be on record before the answer leaves."""
        self._count["submit"] += 1
        if not self._knows(authorization):
            return refuse("auth_error"), None
        prompt = submission.prompt if isinstance(submission, Submission) else ""
        rule = self._trouble("submit", self._count["submit"], prompt=prompt)
        if rule and not rule.accepted and rule.do != "slow":
            return spoil(rule, refuse("internal_error"), now, "/v1/tasks/submit"), None
        reply, task = self._accept(now, submission, intake)
        return (spoil(rule, reply, now, "/v1/tasks/submit") if rule and (task or rule.do == "slow") else reply), task

    def status(self, now: float, authorization: str | None, task_id: str | None) -> Reply:
        """The answer to a status question. An unknown id is a `param_error`: no document says what it should be."""
        self._count["status"] += 1
        if not self._knows(authorization):
            return refuse("auth_error")
        task = self._tasks.get(task_id or "") or self._by_external_id.get(task_id or "")
        turn = self._turn("status", task.task_id) if task else 1
        rule = self._trouble("status", self._count["status"], turn, task.prompt if task else "")
        proper = self._too_fast(now) or self._answer(now, task, rule)
        return spoil(rule, proper, now, f"/v1/tasks/status?task_id={quote(task_id or '')}") if rule else proper

    def models(self, now: float, authorization: str | None) -> Reply:
        """The answer to a question for the models."""
        self._count["models"] += 1
        if not self._knows(authorization):
            return refuse("auth_error")
        rows = [{"id": name, "object": "model", "created": 1756958400, "owned_by": "emulator"} for name in MODELS]
        proper = self._too_fast(now) or json_reply({"object": "list", "data": rows})
        rule = self._trouble("models", self._count["models"])
        return spoil(rule, proper, now, "/v1/models") if rule else proper

    # -- the result files

    def deliver(self, now: float, path: str, query: str, *, with_key: bool) -> Delivery | Reply:
        """The file that a link opens, or the refusal of the result host."""
        self._count["download"] += 1
        self._count["leaked"] += with_key
        task = self._tasks.get(path.removeprefix(_OUTPUT)[:32])
        if task is None or path not in self._paths(task) or task.word != "Success" or task.state(now) != "Success":
            return html_reply(404, "404 Not Found")
        turn = self._turn("download", path)
        rule = self._trouble("download", self._count["download"], turn, task.prompt)
        if rule and (refused := _host_refusal(rule, now)):
            return refused
        complaint = self._links.refusal(path, query, now)
        return html_reply(403, f"403 Forbidden: {complaint}") if complaint else Delivery(task, rule, turn)

    def statistics(self) -> Statistics:
        """A snapshot of the counts."""
        count = self._count
        return Statistics(
            submits=count["submit"],
            tasks=count["accepted"],
            questions=count["status"],
            downloads=count["download"],
            troubles=count["trouble"],
            leaked_keys=count["leaked"],
            peak=self._peak,
        )

    # -- decisions about calls

    def _knows(self, authorization: str | None) -> bool:
        """Bearer and bare key, as the vendor's pages print both (modelverse-api.md §3)."""
        words = (authorization or "").split()
        key = words[1:] if words and words[0].lower() == "bearer" else words
        return len(key) == 1 and self._api_key in (None, key[0])

    def _trouble(self, at: Place, position: int, turn: int = 1, prompt: str = "") -> Trouble | None:
        rule = self._scenario.pick(at, position, turn, prompt)
        self._count["trouble"] += rule is not None
        return rule

    def _turn(self, of: str, what: str) -> int:
        self._turns[of, what] += 1
        return self._turns[of, what]

    def _too_fast(self, now: float) -> Reply | None:
        limit = self._scenario.requests_per_second
        if limit is None:
            return None
        while self._recent and self._recent[0] <= now - max(1.0, 1.0 / limit):
            self._recent.popleft()
        if len(self._recent) >= max(1, math.floor(limit)):
            return self._slow_down(now)
        self._recent.append(now)
        return None

    def _slow_down(self, now: float) -> Reply:
        reply = refuse("rate_limit")
        return Reply(reply.status, reply.body, dict(reply.headers) | retry_after(self._scenario.retry_after, now))

    def _accept(self, now: float, wanted: Submission | BadBodyError, intake: Intake) -> tuple[Reply, RemoteTask | None]:
        if too_fast := self._too_fast(now):
            return too_fast, None
        if isinstance(wanted, BadBodyError):
            return refuse(wanted.code, wanted.message), None
        if self._scenario.moderation == "submit" and _contains(wanted.prompt, self._scenario.moderated):
            return refuse("sensitive_check_error"), None
        if wanted.external_id in self._by_external_id:
            return refuse("param_error", "Invalid param: external_task_id must be unique"), None
        if self._scenario.max_tasks is not None and self._unfinished(now) >= self._scenario.max_tasks:
            return self._slow_down(now), None
        task = self._make(now, wanted, intake)
        self._remember(task)
        self._count["accepted"] += 1
        self._peak = max(self._peak, self._unfinished(now))
        return accept(task.task_id), task

    # -- the life of a task

    def _make(self, now: float, wanted: Submission, intake: Intake) -> RemoteTask:
        number = len(self._tasks) + 1
        rule = self._trouble("task", number, prompt=wanted.prompt)
        word, message = self._ending(wanted, intake, rule)
        started, freed = self._machine(now, self._takes(number, rule))
        return RemoteTask(
            task_id=uuid.uuid4().hex,
            number=number,
            model=wanted.model,
            prompt=wanted.prompt,
            picture=intake.picture,
            duration=wanted.duration,
            size=wanted.size,
            seed=wanted.seed,
            external_id=wanted.external_id,
            submitted=now,
            started=started,
            finished=None if rule and rule.do == "stick" else freed,
            word=word,
            error_message=message,
            files=rule.count if rule and rule.do == "several" else 1,
        )

    def _takes(self, number: int, rule: Trouble | None) -> float:
        """Seconds of wall time on a machine."""
        if rule and rule.do == "long":
            return rule.seconds / self._speed
        scatter = self._scenario.dice("duration", number).gauss(0.0, self._scenario.spread)
        return self._scenario.median_seconds * math.exp(scatter) / self._speed

    def _ending(self, wanted: Submission, intake: Intake, rule: Trouble | None) -> tuple[str, str | None]:
        if intake.complaint:
            return "Failure", intake.complaint
        if _contains(wanted.prompt, self._scenario.moderated):
            return "Failure", _MODERATED
        if _contains(wanted.prompt, self._scenario.failing):
            return "Failure", _FAILED
        if rule and rule.do == "fail":
            return rule.word or "Failure", _FAILED if rule.message is None else rule.message or None
        return {"expire": "Expired", "cancel": "Cancelled"}.get(rule.do if rule else "", "Success"), None

    def _machine(self, now: float, takes: float) -> tuple[float, float]:
        """When the task starts and leaves its machine: the first that is free, in the order of acceptance.

        A task that sticks gives its machine back at once, so that one of them does not starve the others.
        """
        busy = len(self._machines) >= self._scenario.parallel
        started = max(now, self._machines[0]) if busy else now
        return started, started + takes

    def _remember(self, task: RemoteTask) -> None:
        self._tasks[task.task_id] = task
        if task.external_id:
            self._by_external_id[task.external_id] = task
        if len(self._machines) >= self._scenario.parallel:
            heapq.heappop(self._machines)
        heapq.heappush(self._machines, task.started if task.finished is None else task.finished)
        heapq.heappush(self._ends, math.inf if task.finished is None else task.finished)

    def _unfinished(self, now: float) -> int:
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        return len(self._ends)

    # -- the words of an answer

    def _answer(self, now: float, task: RemoteTask | None, rule: Trouble | None) -> Reply:
        if task is None:
            return refuse("param_error", "Invalid param: task_id not found")
        word = task.state(now)
        if word == "Success":
            turn = self._turn("success", task.task_id)
            later = self._trouble("success", self._count["status"], turn, task.prompt)
            rule = later or rule
        if rule and rule.do == "word":
            return self._report(now, task, rule.word or "Archiving", ended=False)
        return self._report(now, task, word, ended=word == task.word, no_urls=bool(rule and rule.do == "no_urls"))

    def _report(self, now: float, task: RemoteTask, word: str, *, ended: bool, no_urls: bool = False) -> Reply:
        output: dict[str, Any] = {"task_id": task.task_id, "task_status": word}
        output |= self._stamp("submit_time", task.submitted)
        if not ended or task.finished is None:
            return json_reply({"output": output, "request_id": ""})
        output |= self._stamp("finish_time", task.finished)
        if word == "Success":
            output["urls"] = [] if no_urls else [self._link(now, task, path) for path in self._paths(task)]
        if task.error_message:
            output["error_message"] = task.error_message
        return json_reply({"output": output, "usage": {"duration": task.duration}, "request_id": ""})

    def _stamp(self, name: str, moment: float) -> dict[str, float]:
        if self._scenario.stamps == "none":
            return {}
        return {name: int(moment) if self._scenario.stamps == "whole" else round(moment, 3)}

    def _paths(self, task: RemoteTask) -> list[str]:
        suffixes = ["", *(f"-{number}" for number in range(2, task.files + 1))]
        return [f"{_OUTPUT}{task.task_id}{suffix}.mp4" for suffix in suffixes]

    def _link(self, now: float, task: RemoteTask, path: str) -> str:
        signed = task.finished if self._scenario.links == "fixed" and task.finished is not None else now
        return self.results_url + self._links.sign(path, signed + self._scenario.link_seconds / self._speed)


def _contains(prompt: str, markers: Iterable[str]) -> bool:
    text = prompt.casefold()
    return any(marker.casefold() in text for marker in markers)


def _host_refusal(rule: Trouble, now: float) -> Reply | None:
    """The answers of a result host that send no file."""
    page = {
        "expired": (403, "403 Forbidden: Request has expired"),
        "missing": (404, "404 Not Found"),
        "gone": (410, "410 Gone"),
        "unavailable": (rule.status or 503, "503 Service Unavailable"),
        "html": (200, "Welcome"),
        "drop": (0, ""),
    }.get(rule.do)
    if page is None:
        return None
    reply = html_reply(*page)
    headers = dict(reply.headers) | retry_after(rule.retry_after, now, as_date=rule.retry_after_as == "date")
    return Reply(reply.status, reply.body, headers, rule.seconds, dropped=rule.do == "drop")

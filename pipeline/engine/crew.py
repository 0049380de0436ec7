"""The crew: one producer, N pollers and M downloaders, put together around one account."""

import asyncio
import contextlib
from random import Random

from pipeline.core.clock import Clock
from pipeline.core.errors import LedgerError, UsageError
from pipeline.core.events import BatchPriced, SlotsChanged
from pipeline.core.jobs import Job, JobState, Record
from pipeline.core.money import Quote
from pipeline.core.ports import Service, VideoStore
from pipeline.engine.account import Account
from pipeline.engine.backoff import Backoff
from pipeline.engine.budget import Budget, Share, caps_of, enough, objection, reached, spent_in
from pipeline.engine.ceiling import Ceiling
from pipeline.engine.desk import Desk, Stop
from pipeline.engine.downloader import Downloaders, FetchRules, are_whole
from pipeline.engine.figures import Figures, wall_seconds
from pipeline.engine.health import Complaint, Health, HealthRules
from pipeline.engine.memory import Memory
from pipeline.engine.order import Seconds
from pipeline.engine.pace import Pace
from pipeline.engine.patience import Patience
from pipeline.engine.poller import Pollers, PollRules
from pipeline.engine.producer import Producer, SubmitRules
from pipeline.engine.queue import JobQueue
from pipeline.engine.schedule import LearnedSchedule
from pipeline.ledger import Ledger, Waiting
from pipeline.settings import Settings


class Crew:
    """Everybody who works on a batch; each part gets the part of the settings that it needs."""

    def __init__(
        self,
        desk: Desk,
        ledger: Ledger,
        service: Service,
        store: VideoStore,
        settings: Settings,
        clock: Clock,
        rng: Random,
        seconds: Seconds,
        patience: Patience,
    ) -> None:
        self._desk = desk
        self._ledger = ledger
        self._service = service
        self._store = store
        self._settings = settings
        self._clock = clock
        self._seconds = seconds
        self._patience = patience
        self._backoff = Backoff(maximum=settings.retry_after_ceiling, rng=rng)
        self._health = Health(HealthRules(settings.min_free_bytes, settings.max_backlog))
        self._doubtful: list[Record] = []
        self._schedule = LearnedSchedule(settings.poll_lag, settings.status_rps)
        self._memory = Memory(ledger, self._schedule, clock)
        self._found_key = f"concurrency:{service.base_url}"
        self._found: str | None = None
        self._figures = Figures()
        self._limit = settings.limit
        self._objection: str | None = None
        """Why what was bought before does not let the caps be kept, where there is more to buy."""
        self.account = self._make_account()
        self._downloaders = self._make_downloaders()
        self._pollers = self._make_pollers()

    async def recall(self) -> None:
        """Begin with what earlier runs learned about this batch's tasks."""
        await self._memory.recall()
        if self.account.found is not None:
            self._found = await self._ledger.recall(self._found_key)
            self.account.begin_at(self._found)

    def approve(self, waiting: Waiting) -> None:
        """See what is about to be bought, that which failed or is unknown included where the settings say so.

        Called on the ledger's thread, before anything is queued again. Raises `UsageError` where no job is selected,
        or the jobs cannot be bought under the caps of the settings.
        """
        settings, quote = self._settings, self._desk.prices.quote
        if settings.select is not None and not waiting.is_selected(settings.select):
            raise UsageError(f"no job matches --select {settings.select!r}; nothing was submitted")
        figures, caps = Figures(), caps_of(settings)
        waiting.survey(
            lambda job: figures.add(job, quote(job)),
            select=settings.select,
            limit=None if settings.order == "longest-first" else settings.limit,
            failed=settings.retry_failed,
            unknown=settings.resubmit_unknown,
        )
        complaint = objection(caps, figures)
        if complaint is not None:
            raise UsageError(f"{complaint}; nothing was submitted")
        self._figures = figures

    async def take_back(self) -> None:
        """What could not be fetched again and lies whole on the disk is done, and need not be bought again."""
        for job_id, _, files in await self._ledger.stored(JobState.FAILED):
            if await are_whole(self._store, files):
                await self._ledger.found_whole(job_id, at=self._desk.now())

    async def open_budget(self) -> None:
        """Tell what is about to be bought and what was bought before, and open the budget."""
        ledger, caps, figures = self._ledger, caps_of(self._settings), self._figures
        spending = await ledger.spending()
        if any(one.unpriced for one in spending):
            await ledger.price(self._desk.prices.quote)
            spending = await ledger.spending()
        if figures.jobs:
            self._objection = objection(caps, figures, spending)
        kept = await ledger.kept()
        shares = {one.job_id: Share(one.worst or 0, 1, one.seconds or 0) for one in kept}
        self._desk.budget = Budget(caps, spent_in(spending), shares, (one.job_id for one in kept if one.doubted))
        adopted = {one.job_id: one.quote for one in kept}
        seconds = self._wall_seconds(figures)
        self._desk.tell(BatchPriced(self._desk.now(), figures.counts, tuple(spending), seconds, adopted))

    def heed(self) -> None:
        """Buy nothing where what was bought before does not let the caps be kept; it is collected all the same."""
        if self._objection is not None:
            self._limit = 0
            self._desk.stop(Stop("budget", self._objection))

    def adopt(self, record: Record) -> None:
        """Take over a job that an earlier run bought: look its submit up, ask about its task, or fetch its videos."""
        self._desk.take(record)
        if record.state is JobState.SUBMITTING:
            self._doubtful.append(record)
        elif record.state is JobState.RUNNING:
            self._pollers.watch(record, self.account.slots.seize())
        else:
            self._downloaders.fetch(record)

    def start(self, group: asyncio.TaskGroup) -> "asyncio.Task[None]":
        """Set everybody to work. Returns the producer's task, which ends when nothing is left to submit."""
        for _ in range(self._settings.pollers):
            group.create_task(self._pollers.run())
        for _ in range(self._settings.downloads):
            group.create_task(self._downloaders.run())
        producer = self._make_producer(group)
        for record in self._doubtful:
            producer.adopt(record)
        producing = group.create_task(producer.run())
        producing.add_done_callback(lambda _: self._schedule.drain())
        return producing

    def dismiss(self, reason: str) -> None:
        """Submit nothing more, ask nothing more, begin no download; what is under way goes on."""
        self.account.stop()
        self._pollers.dismiss(reason)
        self._memory.keep()
        self._keep_found()
        self._downloaders.dismiss(reason)

    def _complaint(self) -> Complaint | None:
        return self._health.complaint(free_bytes=self._store.free_bytes(), watched=self._pollers.watched)

    def _expected(self, job: Job) -> float | None:
        """How long the job's task may take, as it was learned, or else as the catalog has it."""
        learned = self._schedule.typical(job.kind)
        return self._seconds(job) if learned is None else learned

    async def _survey(self) -> Figures:
        """What the queued jobs come to."""
        figures, quote = Figures(), self._desk.prices.quote
        await self._ledger.survey(lambda job: figures.add(job, quote(job)), select=self._settings.select, limit=None)
        return figures

    def _wall_seconds(self, figures: Figures) -> float | None:
        slots = self._settings.concurrency
        if slots == "auto":
            return None

        def takes(quote: Quote) -> float | None:
            known = self._schedule.typical(quote.kind)
            return quote.takes if known is None else known

        return wall_seconds(figures.counts, takes, slots)

    async def _reached(self) -> Stop:
        """Why the budget stops this run, what it leaves, and what would be enough for that."""
        left, budget = await self._survey(), self._desk.budget
        return Stop("budget", reached(budget, left), enough=enough(budget, left))

    def _slots_changed(self, limit: int) -> None:
        self._desk.tell(SlotsChanged(self._desk.now(), limit))
        self._keep_found()

    def _keep_found(self) -> None:
        """What a search for the slots has found so far, for the next run."""
        found = self.account.found
        if found is not None and found != self._found:
            self._found = found
            with contextlib.suppress(LedgerError):  # a broken ledger is told of by everybody who needs it
                self._ledger.remember(self._found_key, found)

    def _make_account(self) -> Account:
        settings = self._settings
        pace = Pace(
            Ceiling() if settings.concurrency == "auto" else settings.concurrency,
            rps=settings.submit_rps,
            longest_pause=settings.retry_after_ceiling,
            backoff=self._backoff,
        )
        return Account(pace, self._clock, on_slots=self._slots_changed)

    def _make_downloaders(self) -> Downloaders:
        settings = self._settings
        return Downloaders(
            self._service,
            self._store,
            self._desk,
            self._health,
            self.account,
            backoff=self._backoff,
            rules=FetchRules(settings.download_tries, settings.retry_after_ceiling),
        )

    def _make_pollers(self) -> Pollers:
        settings = self._settings
        return Pollers(
            self._service,
            self._desk,
            self._health,
            self.account,
            schedule=self._schedule,
            backoff=self._backoff,
            rules=PollRules(
                settings.task_timeout, longest_pause=settings.retry_after_ceiling, rate=settings.status_rps
            ),
            clock=self._clock,
            fetch=self._downloaders.fetch,
            learned=self._memory.learned,
        )

    def _make_producer(self, group: asyncio.TaskGroup) -> Producer:
        settings = self._settings
        return Producer(
            group,
            self._service,
            self._desk,
            self.account,
            self._make_queue(),
            self._pollers,
            self._complaint,
            self._reached,
            self._patience,
            SubmitRules(outage_timeout=settings.outage_timeout, grace=settings.grace),
        )

    def _make_queue(self) -> JobQueue:
        settings = self._settings
        return JobQueue(
            self._ledger,
            select=settings.select,
            limit=self._limit,
            order=settings.order,
            slots=self.account.most,
            seconds=self._expected,
        )

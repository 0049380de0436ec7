"""The crew: one producer, N pollers and M downloaders, put together around one account."""

import asyncio
from random import Random

from pipeline.core.clock import Clock
from pipeline.core.events import SlotsChanged
from pipeline.core.jobs import JobState, Record
from pipeline.core.ports import Service, VideoStore
from pipeline.engine.account import Account
from pipeline.engine.backoff import Backoff
from pipeline.engine.desk import Desk
from pipeline.engine.downloader import Downloaders, FetchRules
from pipeline.engine.health import Health, HealthRules
from pipeline.engine.pace import Pace
from pipeline.engine.poller import Pollers, PollRules
from pipeline.engine.producer import Producer, SubmitRules
from pipeline.engine.queue import JobQueue
from pipeline.engine.schedule import GrowingSchedule
from pipeline.ledger import Ledger
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
    ) -> None:
        self._desk = desk
        self._ledger = ledger
        self._service = service
        self._store = store
        self._settings = settings
        self._clock = clock
        self._backoff = Backoff(maximum=settings.retry_after_ceiling, rng=rng)
        self._health = Health(HealthRules(settings.min_free_bytes, settings.max_backlog))
        self._doubtful: list[Record] = []
        self.account = self._make_account()
        self._downloaders = self._make_downloaders()
        self._pollers = self._make_pollers()

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
        return group.create_task(producer.run())

    def dismiss(self, reason: str) -> None:
        """Submit nothing more, ask nothing more, begin no download; what is under way goes on."""
        self.account.stop()
        self._pollers.dismiss(reason)
        self._downloaders.dismiss(reason)

    def _complaint(self) -> str | None:
        return self._health.complaint(free_bytes=self._store.free_bytes(), watched=self._pollers.watched)

    def _make_account(self) -> Account:
        settings = self._settings
        pace = Pace(
            settings.concurrency,
            rps=settings.submit_rps,
            longest_pause=settings.retry_after_ceiling,
            backoff=self._backoff,
        )
        return Account(pace, self._clock, on_slots=lambda limit: self._desk.tell(SlotsChanged(self._desk.now(), limit)))

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
            schedule=GrowingSchedule(settings.poll_first, settings.poll_growth, settings.poll_max),
            backoff=self._backoff,
            rules=PollRules(settings.task_timeout, longest_pause=settings.retry_after_ceiling),
            clock=self._clock,
            fetch=self._downloaders.fetch,
        )

    def _make_producer(self, group: asyncio.TaskGroup) -> Producer:
        settings = self._settings
        return Producer(
            group,
            self._service,
            self._desk,
            self.account,
            JobQueue(self._ledger, select=settings.select, limit=settings.limit),
            self._pollers,
            self._complaint,
            SubmitRules(outage_timeout=settings.outage_timeout),
        )

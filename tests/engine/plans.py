"""What a seed decides before the first run: the jobs, the odds, and what comes over each run."""

import random
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.core.jobs import Job
from pipeline.settings import Settings
from tests.engine.disk import (
    AFTER_APPEND,
    BEFORE_APPEND,
    BEFORE_COMMIT,
    BEFORE_REMEMBERING,
    MOMENTS,
    OWN_TRANSACTION,
    TORN,
)
from tests.engine.world import NEVER, OTHER, TRACEABLE, WAN, Odds, Window, make_job

_HOUR = 3600.0
_FILLING = (BEFORE_COMMIT, BEFORE_COMMIT, BEFORE_COMMIT, TORN, BEFORE_REMEMBERING, OWN_TRANSACTION)
"""Moments in which a disk shows that it is full."""
_APPENDING = (BEFORE_APPEND, TORN, AFTER_APPEND, BEFORE_REMEMBERING)


@dataclass(frozen=True, slots=True)
class Round:
    """One run, and what comes over it from outside."""

    settings: Settings
    rows: tuple[Job, ...]
    """The manifest of this run."""
    crash_turn: int | None = None
    """The turn of the event loop at which the process dies: any await."""
    crash_event: int | None = None
    """The event after which it dies."""
    crash_write: tuple[str, int] | None = None
    """The moment of the ledger's disk in which it dies: the nth of a kind."""
    power_cut: bool = False
    """The crash is the machine's: what the results file did not flush is gone."""
    disk_full: tuple[str, int] | None = None
    """The moment from which on the ledger's disk is full."""
    disk_latency: float = 0.0
    """At most so many seconds for a commit."""
    results_gone: bool = False
    """Somebody removed results.jsonl before this run."""
    signal: float | None = None
    """The second at which a signal comes."""
    second_signal: float | None = None
    """…and another."""
    bug_after: int | None = None
    """So many calls go well, then a port raises what no port may raise."""
    jumps: tuple[tuple[float, float], ...] = ()
    """When the wall clock is set, and by how much."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole life of a batch."""

    odds: Odds
    closed_model: str
    rounds: tuple[Round, ...]
    """Before the calm ones."""
    last: Round
    """In calm weather, to the end."""


class _Dice:
    """The draws that plans are made of."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.choice = rng.choice

    def happens(self, chance: float) -> bool:
        return self._rng.random() < chance

    def sometimes(self, chance: float, most: float) -> float:
        """A probability, or mostly none."""
        return self._rng.uniform(0, most) if self.happens(chance) else 0.0

    def moment(self, chance: float, doublings: float) -> int | None:
        """A number whose magnitude is uniform, so that beginnings are met as often as what comes late."""
        return int(2 ** self._rng.uniform(0, doublings)) if self.happens(chance) else None

    def second(self, chance: float, most: float) -> float | None:
        return self._rng.uniform(0, most) if self.happens(chance) else None

    def soon_after(self, moment: float | None) -> float | None:
        """Mostly within the grace that began at `moment`, where there was one."""
        return None if moment is None or self.happens(0.5) else moment + self._rng.uniform(0, 4)

    def jump(self) -> tuple[float, float]:
        """When the wall clock is set, and by how many seconds."""
        return self._rng.uniform(0, 150), self._rng.choice([-10, -1, 0.01, 1, 10]) * _HOUR

    def write(self) -> tuple[str, int]:
        """A moment of the ledger's disk; appends are rare, commits are not."""
        kind = self._rng.choice(MOMENTS)
        return kind, int(2 ** self._rng.uniform(0, 4 if kind in _APPENDING else 7))

    def window(self, chance: float) -> Window:
        if not self.happens(chance):
            return NEVER
        begins = self._rng.uniform(0, 120)
        return Window(begins, begins + self._rng.expovariate(1 / 120))

    def subset(self, jobs: tuple[Job, ...]) -> tuple[Job, ...]:
        """All rows of the manifest, or those that have not left it or not yet come into it."""
        share = self._rng.choice([1.0, 1.0, 1.0, 0.9, 0.5])
        return tuple(job for job in jobs if self.happens(share))


def plan(seed: int) -> Plan:
    """The plan of a seed."""
    dice = _Dice(random.Random(seed))
    models = dice.choice([(WAN,), (WAN,), (OTHER, WAN), (WAN, *TRACEABLE), (*TRACEABLE,)])
    count = dice.choice([1, 3, 8, 12, 18, 24])
    jobs = tuple(make_job(f"j{n:02d}", models[n % len(models)]) for n in range(count))
    common = _common(dice)
    odds, hard = _odds(dice), dice.happens(0.15)
    rounds = tuple(_round(dice, common, jobs, hard=hard) for _ in range(5 if hard else dice.choice([1, 2, 3, 4])))
    last = Round(
        Settings(concurrency=common.concurrency, task_timeout=200_000.0, download_tries=20),
        dice.subset(jobs),
    )
    caps = _Dice(random.Random(~seed))  # dice of their own: seeds without caps tell the story that they always told
    odds = replace(odds, slow_connection=_Dice(random.Random(~seed - 1)).sometimes(0.3, 0.4))  # for the same reason
    capped = tuple(_capped(the, caps) for the in rounds) if caps.happens(0.4) else rounds
    return Plan(_untrustworthy(odds) if hard else odds, models[0], capped, last)


def _capped(the: Round, dice: _Dice) -> Round:
    """The round with a budget, mostly a tight one."""
    budget = dice.choice([None, 0, 3, 6, 6, 12, 12, 20, 40])
    tasks = dice.choice([None, None, None, 0, 4, 10])
    decimal = None if budget is None else Decimal(budget)
    return replace(the, settings=_with(the.settings, budget=decimal, max_jobs=tasks))


def _odds(dice: _Dice) -> Odds:
    some, window = dice.sometimes, dice.window
    return Odds(
        lost_before=some(0.4, 0.2),
        lost_after=some(0.4, 0.2),
        outage=some(0.4, 0.5),
        rate_limited=some(0.4, 0.5),
        rejected=some(0.3, 0.2),
        account_limit=dice.choice([1, 3, 7]) if dice.happens(0.3) else None,
        closed=window(0.25),
        closed_to_questions=dice.happens(0.5),
        model_closed=window(0.2),
        down=window(0.2),
        unreadable=some(0.1, 0.2),
        status_failure=some(0.4, 0.5),
        status_rate_limited=some(0.3, 0.3),
        invisible=some(0.4, 0.8),
        never_visible=some(0.2, 0.2),
        strange_word=some(0.2, 0.3),
        task_failure=some(0.4, 0.3),
        stuck=some(0.15, 0.1),
        empty_success=some(0.2, 0.3),
        second_video=some(0.2, 0.5),
        forgotten=some(0.15, 0.3),
        link_life=dice.choice([1e9, 1e9, 20.0, 3.0]),
        cut=some(0.4, 0.4) if not dice.happens(0.03) else 1.0,
        changed=some(0.2, 0.3),
        careless_host=dice.happens(0.3),
        unusable=some(0.2, 0.1),
        no_space=some(0.1, 0.05),
        low_disk=some(0.1, 0.3),
        disk_full=window(0.25),
        block_seconds=dice.choice([0.1, 0.5, 0.5, 10.0]),
        latency=dice.choice([0.01, 0.2, 2.0]),
        duration=dice.choice([1.0, 30.0, 120.0]),
    )


def _untrustworthy(odds: Odds) -> Odds:
    """A service whose links soon expire, whose files soon go, and whose new tasks take time to appear."""
    return replace(
        odds,
        lost_after=0.3,
        invisible=0.7,
        forgotten=0.6,
        link_life=5.0,
        cut=0.4,
        careless_host=True,
        closed=NEVER,
        disk_full=NEVER,
    )


def _common(dice: _Dice) -> Settings:
    """What does not change from run to run."""
    return Settings(
        concurrency=dice.choice([1, 2, 5, 10, 20, "auto"]),
        order=dice.choice(["auto", "manifest", "longest-first"]),
        pollers=dice.choice([1, 2, 4]),
        downloads=dice.choice([1, 2, 4]),
        submit_rps=dice.choice([None, None, 2.0]),
        max_backlog=dice.choice([1, 100]),
        task_timeout=dice.choice([300.0, 3600.0]),
        grace=dice.choice([0.0, 2.0, 8.0]),
    )


def _round(dice: _Dice, common: Settings, jobs: tuple[Job, ...], *, hard: bool) -> Round:
    """`hard` comes with more second tries, which is where an untrustworthy service could mix things up."""
    signal = dice.second(0.3, 100)
    return Round(
        _with(
            common,
            max_runtime=dice.choice([None, None, None, 60.0]),
            limit=dice.choice([None, None, None, None, 0, 3]),
            select=dice.choice([None, None, None, None, "j0*", "j*[!13579]"]),
            retry_failed=dice.happens(0.7 if hard else 0.3),
            resubmit_unknown=dice.happens(0.2),
        ),
        dice.subset(jobs),
        crash_turn=dice.moment(0.3, 12),
        crash_event=dice.moment(0.2, 8),
        crash_write=dice.write() if dice.happens(0.4) else None,
        power_cut=dice.happens(0.3),
        disk_full=(dice.choice(_FILLING), dice.moment(1.0, 7) or 1) if dice.happens(0.15) else None,
        disk_latency=dice.choice([0.0, 0.0, 0.05, 0.4]),
        results_gone=dice.happens(0.05),
        signal=signal,
        second_signal=dice.soon_after(signal),
        bug_after=dice.moment(0.1, 8),
        jumps=tuple(dice.jump() for _ in range(dice.choice([0, 0, 0, 1, 2]))),
    )


def _with(settings: Settings, **changes: object) -> Settings:
    return Settings(**{name: getattr(settings, name) for name in settings.__struct_fields__} | changes)

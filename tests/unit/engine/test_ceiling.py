"""The search for the ceiling: what each answer and each duration does to it, and where it ends up at many services."""

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field

import pytest

from pipeline.engine.backoff import Backoff
from pipeline.engine.ceiling import MOST, START, Ceiling, Stay
from pipeline.engine.pace import Pace


class Tasks:
    """Tasks by hand: how long they take is said for each wave."""

    def __init__(self, search: Ceiling, kind: str = "k") -> None:
        self.search = search
        self.kind = kind
        self.now = 0.0

    def wave(self, seconds: float) -> None:
        """Fill the slots, which may grow meanwhile, and go on until full slots have been judged."""
        stays: list[Stay] = []
        for _ in range(self.search.slots + 30):
            running = min(len(stays) + 1, self.search.slots)
            self.search.accepted(running)
            stays.append(self.search.began(self.kind, running, self.now))
        for stay in stays:
            self.search.ended(stay, stay.began + seconds)
        self.now += 1000.0

    def accept(self, times: int) -> None:
        """So many submits are accepted on full slots."""
        for _ in range(times):
            self.search.accepted(self.search.slots)


def limited(slots: int) -> Ceiling:
    """A search that has found this limit."""
    search = Ceiling()
    search.recall(f'{{"slots": {slots}, "limited": true}}')
    search.slots = slots
    return search


# -- growing ----------------------------------------------------------------------------------------------------------


def test_slots_triple_when_tasks_take_no_longer() -> None:
    """From four on, each wave that takes as long as the one before allows three times as many."""
    search = Ceiling()
    tasks, seen = Tasks(search), [search.slots]
    for _ in range(3):
        tasks.wave(50.0)
        tasks.accept(200)
        seen.append(search.slots)
    assert seen == [START, 12, 36, 108]


def test_slots_stay_when_nothing_has_ended_yet() -> None:
    """A service that accepts everything at once says nothing about how much it does at once."""
    search = Ceiling()
    Tasks(search).accept(1000)
    assert search.slots == START


def test_slots_stop_at_the_most_when_nothing_else_stops_them() -> None:
    """The search has an end of its own."""
    search = Ceiling()
    tasks = Tasks(search)
    for _ in range(8):
        tasks.wave(50.0)
        tasks.accept(MOST)
    assert search.slots == search.hope == MOST


def test_slots_follow_one_by_one_when_more_are_allowed() -> None:
    """Each accepted submit on full slots adds one: a limit on the way is met by one submit and not by a burst."""
    search = Ceiling()
    tasks = Tasks(search)
    tasks.wave(50.0)
    seen = []
    for _ in range(3):
        tasks.accept(1)
        seen.append(search.slots)
    assert seen == [5, 6, 7]


@pytest.mark.parametrize(("running", "slots"), [(17, 20), (18, 21)])
def test_an_answer_does_not_count_when_slots_are_empty(running: int, slots: int) -> None:
    """What is accepted while more than a tenth of the slots is empty says nothing about one more."""
    search = limited(20)
    for _ in range(241):
        search.accepted(running)
    assert search.slots == slots


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_slots_shrink_to_what_runs_when_two_submits_are_refused_at_a_height() -> None:
    """The first refusal is a doubt, the second one in a row at the same height is the limit."""
    search = limited(20)
    assert search.refused(18)
    assert search.slots == 20
    assert search.refused(18)
    assert search.slots == 18
    assert search.memory == '{"slots": 18, "limited": true}'


@pytest.mark.parametrize(("running", "slots"), [(19, 20), (18, 18)])
def test_a_refusal_is_forgotten_when_a_submit_is_accepted_at_that_height(running: int, slots: int) -> None:
    """A submit that makes as many tasks as the refused one would have made refutes it; one below does not."""
    search = limited(20)
    search.refused(18)
    search.accepted(running)
    search.refused(18)
    assert search.slots == slots


@pytest.mark.parametrize(("running", "slots"), [(16, 16), (14, 14), (13, 14), (0, 14)])
def test_slots_shrink_by_three_tenths_when_far_fewer_tasks_run(running: int, slots: int) -> None:
    """Such a refusal says nothing about the number of tasks, and the slots are back after as many accepted submits."""
    search = limited(20)
    assert not search.refused(running)
    assert search.slots == slots
    Tasks(search).accept(20 - slots)
    assert search.slots == 20


def test_one_slot_stays_when_everything_is_refused() -> None:
    """The search never ends at nothing."""
    search = Ceiling()
    for _ in range(20):
        search.refused(0)
    assert search.slots == 1


def test_a_search_ends_when_the_limit_is_met_on_the_way() -> None:
    """After that nothing is tripled any more, however long tasks take."""
    search = Ceiling()
    tasks = Tasks(search)
    tasks.wave(50.0)
    tasks.accept(3)
    for _ in range(2):
        search.refused(6)
    tasks.wave(50.0)
    assert search.slots == 6


# -- climbing ---------------------------------------------------------------------------------------------------------


def climbs_after(search: Ceiling) -> int:
    """Accepted submits on full slots until one more is tried."""
    slots = search.slots
    for count in range(1, 1000):
        search.accepted(slots)
        if search.slots > slots:
            return count - 1  # the last one made use of the decision
    raise AssertionError("no more was ever tried")


@pytest.mark.parametrize(("slots", "waits"), [(37, [240, 480, 480]), (4, [120, 120]), (1, [30, 30])])
def test_one_more_is_tried_after_a_while_and_twice_that_when_it_failed(slots: int, waits: list[int]) -> None:
    """A remembered limit is tested ever more rarely; few slots are not kept waiting for ever."""
    search, seen = limited(slots), []
    for _ in waits:
        seen.append(climbs_after(search))
        for _ in range(2):
            search.refused(slots)
        assert search.slots == slots
    assert seen == waits


def test_one_more_is_tried_sooner_when_the_limit_was_found_in_this_run() -> None:
    """What stopped the search once may have been an accident."""
    search = Ceiling()
    for _ in range(2):
        search.refused(START)
    assert climbs_after(search) == 60


def test_climbing_gets_faster_when_it_goes_well() -> None:
    """Each step that holds for a round of the slots is followed by one of twice the size, as far as can be judged."""
    search = limited(100)
    tasks, seen = Tasks(search), []
    tasks.accept(240)
    for _ in range(700):
        tasks.accept(1)
        seen.append(search.slots)
    steps = sorted(set(seen))
    assert steps[0] == 101
    assert steps[-1] == 140
    assert [seen.count(height) > 50 for height in (101, 103, 107, 115, 131, 140)] == [True] * 6


# -- how long tasks take ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "slots"), [(55.0, 36), (150.0, 4), (100.0, 6), (75.0, 8)])
def test_slots_go_back_to_what_runs_at_once_when_tasks_take_longer(seconds: float, slots: int) -> None:
    """Where tasks take twice as long on three times the slots, half of the slots only wait."""
    search = Ceiling()
    tasks = Tasks(search)
    tasks.wave(50.0)
    tasks.accept(8)
    tasks.wave(seconds)
    tasks.accept(30)
    assert search.slots == slots


def test_kinds_are_compared_with_themselves_when_they_differ() -> None:
    """A longer kind in the next wave is not taken for a queue."""
    search = Ceiling()
    short, long = Tasks(search, "short"), Tasks(search, "long")
    short.wave(40.0)
    short.accept(8)
    long.wave(120.0)
    long.accept(100)
    assert search.slots == 36


def test_slots_shrink_when_tasks_take_much_longer_at_a_height_that_was_sound() -> None:
    """A queue that grows at the service is answered by fewer slots, where that makes tasks shorter again."""
    search = limited(40)
    tasks = Tasks(search)
    tasks.wave(50.0)
    tasks.wave(100.0)
    assert search.slots == 20
    tasks.wave(50.0)
    assert search.slots == 20


def test_slots_come_back_when_fewer_of_them_make_nothing_shorter() -> None:
    """A service that has become slower is no queue of ours."""
    search = limited(40)
    tasks = Tasks(search)
    tasks.wave(50.0)
    tasks.wave(100.0)
    tasks.wave(100.0)
    tasks.accept(30)
    assert search.slots == 40
    for _ in range(5):
        tasks.wave(100.0)
    assert search.slots >= 40


def test_a_stuck_task_does_not_stop_the_judgement() -> None:
    """An eighth of the tasks may still run when the others are judged, and one more may not."""
    search = limited(40)
    stays = [search.began("k", 40, 0.0) for _ in range(24)]
    for stay in stays[:20]:
        search.ended(stay, 50.0)
    assert not search._usual
    search.ended(stays[20], 50.0)
    assert search._usual


def test_memory_stays_small_when_every_task_is_of_a_kind_of_its_own() -> None:
    """No more kinds are remembered than a batch can reasonably have."""
    search = limited(40)
    for number in range(2000):
        search.ended(search.began(f"k{number}", 40, 0.0), 50.0)
    assert len(search._usual) <= 256 + 24


# -- what is remembered -----------------------------------------------------------------------------------------------


def test_the_next_search_begins_a_little_below_when_one_was_limited() -> None:
    """Nine tenths at once, the rest one by one, and no tripling."""
    search = Ceiling()
    search.recall('{"slots": 37, "limited": true}')
    assert (search.slots, search.hope) == (34, 37)
    tasks = Tasks(search)
    tasks.accept(3)
    assert search.slots == 37
    tasks.wave(50.0)
    assert search.slots == 37


def test_the_next_search_goes_on_when_nothing_had_stopped_the_last_one() -> None:
    """A short batch that ended early is no limit."""
    search = Ceiling()
    Tasks(search).wave(50.0)
    later = Ceiling()
    later.recall(search.memory)
    tasks = Tasks(later)
    tasks.accept(10)
    tasks.wave(50.0)
    tasks.accept(10)
    assert later.slots > START


@pytest.mark.parametrize(
    "text", [None, "", "null", "[]", "7", '{"slots": "x"}', '{"slots": 3}', "{", '{"slots": null}']
)
def test_a_search_begins_anew_when_the_memory_says_nothing(text: str | None) -> None:
    """Whatever stands there, it is no error."""
    search = Ceiling()
    search.recall(text)
    assert search.slots == START


@pytest.mark.parametrize(("slots", "begin"), [(0, 1), (-5, 1), (1, 1), (10**9, 450)])
def test_a_search_begins_within_its_bounds_when_the_memory_is_out_of_them(slots: int, begin: int) -> None:
    """At least one slot, and at most nine tenths of the most."""
    search = Ceiling()
    search.recall(f'{{"slots": {slots}, "limited": true}}')
    assert search.slots == begin


# -- whole runs -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Market:
    """A service with a limit and with machines, used by a client whose slots a pace decides; virtual seconds."""

    pace: Pace
    rng: random.Random
    limit: float = math.inf
    machines: int = 10**9
    seconds: float = 50.0
    spread: float = 0.2
    strays: float = 0.0
    """Share of the submits that are refused for no reason of ours."""
    now: float = 0.0
    refused: int = 0
    submits: int = 0
    running: int = 0
    seen: list[int] = field(default_factory=list)
    """Slots at each accepted submit."""
    _ends: list[float] = field(default_factory=list)
    _free: list[float] = field(default_factory=list)
    _events: list[tuple[float, int, Stay | None]] = field(default_factory=list)
    _number: "itertools.count[int]" = field(default_factory=itertools.count)

    def run(self, jobs: int) -> float:
        """Bring so many jobs to their ends, one submit at a time. Returns the seconds that it took."""
        began, waiting = self.now, jobs
        while waiting or self._events:
            if waiting and self.running < self.pace.slots and self.pace.delay(self.now) == 0:
                waiting -= self._submit()
                continue
            if waiting and self.running < self.pace.slots:
                self._until(self.now + self.pace.delay(self.now) + 1e-9)
            else:
                self._until(self._events[0][0])
        return self.now - began

    def _until(self, moment: float) -> None:
        self.now = max(self.now, moment)
        while self._events and self._events[0][0] <= self.now:
            at, _, stay = heapq.heappop(self._events)
            self.running -= 1
            if stay is not None and self.pace.search is not None:
                self.pace.search.ended(stay, at)

    def _submit(self) -> bool:
        self.submits += 1
        self._until(self.now + self.rng.uniform(0.1, 0.4))
        while self._ends and self._ends[0] <= self.now:
            heapq.heappop(self._ends)
        if len(self._ends) >= self.limit or self.rng.random() < self.strays:
            self.refused += 1
            self.pace.rate_limited(self.now, None, self.running)
            return False
        self.running += 1
        ends = self._begin() + self.seconds * math.exp(self.rng.gauss(0, self.spread))
        heapq.heappush(self._ends, ends)
        heapq.heappush(self._free, ends)
        self.pace.accepted(self.running)
        self.seen.append(self.pace.slots)
        search = self.pace.search
        stay = search.began("k", self.running, self.now) if search else None
        heapq.heappush(self._events, (ends + self.rng.uniform(0, 2.0), next(self._number), stay))
        return True

    def _begin(self) -> float:
        """When the task that is accepted now comes to a machine."""
        free = self._free
        while len(free) > self.machines:
            heapq.heappop(free)
        return max(self.now, heapq.heappop(free)) if len(free) == self.machines else self.now


def market(seed: int, ceiling: int | Ceiling, **service: float) -> Market:
    rng = random.Random(seed)
    pace = Pace(ceiling, rps=None, longest_pause=60.0, backoff=Backoff(rng=rng))
    return Market(pace, rng, **service)  # type: ignore[arg-type]  # numbers by name


SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("limit", [6, 37, 120])
def test_slots_settle_at_the_limit_with_few_refusals_when_there_is_one(limit: int, seed: int) -> None:
    """Within a tenth of a limit that nobody knows, with less than one refusal in fifty submits."""
    found = market(seed, Ceiling(), limit=limit)
    found.run(max(1500, 40 * limit))
    settled = found.seen[len(found.seen) // 2 :]
    assert all(0.9 * limit <= slots <= 1.1 * limit + 1 for slots in settled)
    assert sum(settled) / len(settled) == pytest.approx(limit, rel=0.03)
    assert found.refused < 0.02 * found.submits


@pytest.mark.parametrize("seed", SEEDS)
def test_a_found_limit_costs_a_tenth_of_the_time_when_it_was_not_told_and_nothing_the_next_time(seed: int) -> None:
    """Beside a run that knew the limit of 37 beforehand, over 1500 jobs."""
    search = Ceiling()
    told, found = market(seed, 37, limit=37).run(1500), market(seed, search, limit=37).run(1500)
    again = Ceiling()
    again.recall(search.memory)
    assert found <= 1.12 * told
    assert market(seed, again, limit=37).run(1500) <= 1.02 * told


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("machines", [20, 60])
def test_slots_stop_growing_when_more_of_them_only_wait(machines: int, seed: int) -> None:
    """A service that accepts everything and runs only some of it is not buried, and loses nothing by that."""
    found = market(seed, Ceiling(), machines=machines)
    took = found.run(60 * machines)
    settled = found.seen[len(found.seen) // 2 :]
    assert machines * 0.9 <= sum(settled) / len(settled) <= machines * 1.5
    assert max(found.seen) <= 3.3 * machines
    assert took <= 1.12 * market(seed, machines, machines=machines).run(60 * machines)


@pytest.mark.parametrize("seed", SEEDS)
def test_slots_hold_when_submits_are_refused_for_other_reasons(seed: int) -> None:
    """One refusal in thirty, independent of how many tasks run, costs a fifth of the slots at most."""
    found = market(seed, Ceiling(), limit=37, strays=0.03)
    found.run(1500)
    settled = found.seen[len(found.seen) // 2 :]
    assert sum(settled) / len(settled) >= 30


@pytest.mark.parametrize("seed", SEEDS)
def test_slots_recover_when_refusals_for_other_reasons_end(seed: int) -> None:
    """A bad hour at the beginning is not taken for the limit for ever."""
    found = market(seed, Ceiling(), limit=37, strays=0.2)
    found.run(200)
    found.strays = 0.0
    found.run(1500)
    assert sum(found.seen[-300:]) / 300 >= 34


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("before", "after"), [(37, 20), (37, 80)])
def test_slots_follow_when_the_limit_moves(before: int, after: int, seed: int) -> None:
    """Down at once, and up within some rounds."""
    found = market(seed, Ceiling(), limit=before)
    found.run(800)
    found.limit = after
    found.run(2000)
    assert sum(found.seen[-300:]) / 300 == pytest.approx(after, rel=0.1)
    assert found.refused < 0.02 * found.submits


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("seconds", [20.0, 90.0])
def test_slots_stay_when_the_service_becomes_slower_or_faster(seconds: float, seed: int) -> None:
    """Durations that change without a queue cost a few rounds, and not the slots."""
    found = market(seed, Ceiling(), limit=37)
    found.run(800)
    found.seconds = seconds
    found.run(1000)
    assert sum(found.seen[-300:]) / 300 >= 34


@pytest.mark.parametrize("seed", SEEDS)
def test_slots_stay_when_durations_are_all_over_the_place(seed: int) -> None:
    """Chance is not taken for a queue."""
    found = market(seed, Ceiling(), limit=37, spread=0.8)
    found.run(1500)
    assert sum(found.seen[-300:]) / 300 >= 30

"""When to ask, simulated: the product's schedule beside what other clients do, on nine kinds of service."""

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields

from pipeline.engine.schedule import LearnedSchedule, Schedule
from tests.benchmarks.harness import Figure, at_least, at_most, publish
from tests.benchmarks.peers.intervals import PEERS, Intervals
from tests.benchmarks.polling.simulation import Outcome, simulate
from tests.benchmarks.polling.workloads import JOBS, SLOTS, WORKLOADS, Workload

_SEEDS = range(4)
_ROUNDS = 6
"""Tries to find the lag setting that asks no more than a peer."""
_EVEN = 0.001
"""Makespan efficiencies that differ by less are equal: tasks in a line do not care when they are found."""
_QUESTIONS = 16.0
_METHOD = (
    f"Our own discrete-event simulation (virtual time, {len(_SEEDS)} seeds, {JOBS} jobs, {SLOTS} slots, whole-"
    "second stamps) drives the product's `LearnedSchedule`, cold at the start of each batch. For each peer, "
    "`poll_lag` is set so that the product asks no more questions than it; then mean lag, p95 lag and lost "
    "makespan are divided by the peer's (a value below 1 is better). Makespan efficiency is the makespan of an "
    "oracle that asks in the moment of the end, divided by the makespan. K* is the least mean lag × questions a "
    "task of any rule that knows only the age of a task and the law of the durations."
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One policy on one workload; means over the seeds."""

    lag: float
    p95: float
    questions: float
    efficiency: float

    def __str__(self) -> str:
        return f"{self.lag:.2f} / {self.p95:.2f} s, {self.questions:.1f} questions, {self.efficiency:.4f}"


@dataclass(frozen=True, slots=True)
class Duel:
    """A peer, and the product with no more questions."""

    peer: str
    theirs: Seen
    ours: Seen


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything about one workload."""

    workload: int
    """Its place in `WORKLOADS`."""
    usual: Seen
    """The product with `poll_lag` at its default of 1 s."""
    products: tuple[float, ...]
    """Mean lag × questions a task, by seed."""
    duels: tuple[Duel, ...]


def study(number: int) -> Findings:
    """Play one workload with everybody."""
    workload = WORKLOADS[number]
    oracle = [simulate(workload, seed, None).makespan for seed in _SEEDS]
    alone = _play(workload, lambda: LearnedSchedule(1.0))
    usual = _mean(alone, oracle)
    duels = []
    for name, delays in PEERS.items():
        theirs = _mean(_play(workload, lambda delays=delays: Intervals(delays)), oracle)  # type: ignore[misc] # a default
        duels.append(Duel(name, theirs, _no_more(workload, theirs.questions, usual, oracle)))
    return Findings(number, usual, tuple(one.lag * one.questions for one in alone), tuple(duels))


def _no_more(workload: Workload, questions: float, usual: Seen, oracle: Sequence[float]) -> Seen:
    """The product with a lag setting that asks no more than so many questions, as nearly as is found soon."""
    lag, best = usual.questions / questions, None
    for _ in range(_ROUNDS):
        ours = _mean(_play(workload, lambda lag=lag: LearnedSchedule(lag)), oracle)  # type: ignore[misc] # a default
        if ours.questions <= questions and (best is None or ours.questions > best.questions):
            best = ours
        if best is not None and best.questions > 0.97 * questions:
            break
        lag *= ours.questions / questions * 1.01
    if best is None:
        raise RuntimeError(f"{workload.name}: no setting asks {questions:.1f} questions a task or fewer")
    return best


def _play(workload: Workload, schedule: Callable[[], Schedule]) -> list[Outcome]:
    return [simulate(workload, seed, schedule()) for seed in _SEEDS]


def _mean(outcomes: Sequence[Outcome], oracle: Sequence[float]) -> Seen:
    lag, p95, questions, _ = (
        statistics.fmean(getattr(one, field.name) for one in outcomes) for field in fields(Outcome)
    )
    efficiency = statistics.fmean(best / one.makespan for best, one in zip(oracle, outcomes, strict=True))
    return Seen(lag, p95, questions, efficiency)


# -- figures ----------------------------------------------------------------------------------------------------------


def _figures(found: Findings) -> list[Figure]:
    workload = WORKLOADS[found.workload]
    figures = [
        Figure(
            f"{workload.name}: mean / p95 lag, questions a task, efficiency", str(found.usual), "", None, "an oracle"
        )
    ]
    if workload.bound is not None:
        figures.append(
            at_most(
                f"{workload.name}: lag × questions ÷ K*",
                [product / workload.bound for product in found.products],
                workload.allowed,
                peer=f"K* = {workload.bound:.1f} poll-seconds",
            )
        )
    return [
        *figures,
        _against(workload, "mean lag", found.duels, lambda seen: seen.lag),
        _against(workload, "p95 lag", found.duels, lambda seen: seen.p95),
        _lost(workload, found.duels),
    ]


def _against(workload: Workload, what: str, duels: Sequence[Duel], of: Callable[[Seen], float]) -> Figure:
    ratio, worst = max((of(duel.ours) / of(duel.theirs), duel.peer) for duel in duels)
    best = min(of(duel.ours) / of(duel.theirs) for duel in duels)
    measured = f"{best:.2f} to {ratio:.2f} ×"
    return Figure(f"{workload.name}: {what}", measured, "< 1 ×", ratio < 1.0, f"seven peers, closest {worst}")


def _lost(workload: Workload, duels: Sequence[Duel]) -> Figure:
    """Lost makespan; where both lose next to nothing, they are equal."""
    ratios, even = [], 0
    for duel in duels:
        if abs(duel.ours.efficiency - duel.theirs.efficiency) < _EVEN:
            even += 1
        else:
            ratios.append(((1.0 - duel.ours.efficiency) / (1.0 - duel.theirs.efficiency), duel.peer))
    parts = [f"{min(ratios)[0]:.2f} to {max(ratios)[0]:.2f} ×"] if ratios else []
    parts += [f"equal within {_EVEN:g} of the makespan: {even} of {len(duels)}"] if even else []
    met = not ratios or max(ratios)[0] < 1.0
    closest = f", closest {max(ratios)[1]}" if ratios else ""
    return Figure(f"{workload.name}: lost makespan", "; ".join(parts), "< 1 ×, or equal", met, f"seven peers{closest}")


def _headline(found: Findings) -> list[Figure]:
    seen = found.usual
    return [
        at_least(
            "lognormal 50 s, σ .3: makespan efficiency at `poll_lag` 1 s",
            [seen.efficiency],
            0.98,
            peer="an oracle",
            unit="",
        ),
        at_most("…with so many questions a task", [seen.questions], _QUESTIONS, peer="", unit=""),
    ]


def main() -> None:
    with ProcessPoolExecutor() as pool:
        findings = list(pool.map(study, range(len(WORKLOADS))))
    for found in findings:
        print(f"\n{WORKLOADS[found.workload].name}: mean / p95 lag, questions a task, makespan efficiency")
        print(f"  {'learned, poll_lag 1 s':24} {found.usual}")
        for duel in found.duels:
            print(f"  {duel.peer:24} {duel.theirs}\n  {'  learned, no more':24} {duel.ours}")
    print()
    figures = _headline(findings[0]) + [figure for found in findings for figure in _figures(found)]
    publish("polling", "When to ask, simulated", _METHOD, figures)


if __name__ == "__main__":
    main()

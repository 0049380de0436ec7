"""What a job costs: a submit, three questions and a video of 200 KB, by instructions and by processor time."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks.harness import Figure, at_most, interleaved, noted, publish, ratios
from tests.benchmarks.job_cost.crowd import TASKS, Watched, watch_naive, watch_product
from tests.benchmarks.job_cost.programs import (
    BARE,
    BARE_KEPT,
    COOKBOOK,
    HASHING,
    NAIVE,
    NO_REPORT,
    ON_UVLOOP,
    PRODUCT,
    PROGRAMS,
    counted,
    timed,
)
from tests.benchmarks.raw_service import RawService, raw_service

_FEW, _MANY = 60, 240
"""Jobs of the two runs: what both share, the start, falls out."""
_TIMED_FEW = 20
_TIMED_MANY = 420
_ROUNDS = 3
_TIMED = (PRODUCT, ON_UVLOOP, NAIVE, BARE, BARE_KEPT, HASHING)

_METHOD = (
    "A job is a submit, three status questions and one video of 200 KB, from a raw `asyncio.Protocol` server on "
    "loopback in a process of its own. Instructions are user-space instructions under callgrind, of the whole command "
    "with 240 jobs less the same with 60, a job: start-up falls out, and a busy machine changes little. The product "
    "runs as `pipeline run` does, its ledger durable and its results written. *Naive* is one asyncio task a row with "
    "aiofiles, *cookbook* one call a millisecond, *bare* the same aiohttp requests without ledger, schedule or file "
    "(`tests/benchmarks/peers`). All of them are on Python's own event loop; the lines that say *on uvloop* have the "
    "product on uvloop (the extra `[fast]`) beside the same peers. Processor time is user and system time of 420 jobs "
    "less 20, interleaved."
)
_CLOSED = (
    "Each submit of the product takes a connection of its own, so that a paid request never meets one that is about "
    "to close; bare does the same here, and keeps its connections in the line after next."
)
_LESS_HASH = (
    "The product hashes every video (SHA-256, for the results line and `verify`), which none of the peers does; the "
    "instructions of hashing the same bytes were counted in the same run and are taken off here."
)


_PARTS = (
    "The product sends submits and questions on aiohttp's connections without its session, which repeats requests and "
    "does for each what this service never asks for (`pipeline/modelverse/lines.py`); bare and naive use the session, "
    "as scripts do. Where the product's instructions go, by thread, in million a job, as counted once beside this: "
    "2.5 on the event loop, of which the five requests take some 1.4, and 0.45 of these are what asyncio itself takes "
    "to make and to close the connection of the submit; 0.6 on the ledger's thread, which enrolls the row, prices it "
    "and writes four durable steps; 0.1 for report.html at the end; 0.15 in the threads that write videos. The rest "
    "of the loop is spread thinly: the engine some 0.7, judging answers and keeping the key out of them, the "
    "download's checks."
)


def main() -> None:
    with raw_service() as service:
        counts = _instructions(service)
        times = _processor_time(service)
    with ThreadPoolExecutor() as pool:
        crowd, peers = pool.submit(watch_product), pool.submit(watch_naive)
        figures = [*_counted_figures(counts), *_timed_figures(times), *_crowd_figures(crowd.result(), peers.result())]
    publish("job_cost", "Cost of a job", _METHOD, figures)


def _instructions(service: RawService) -> dict[str, float]:
    """Of a job, by program; two run at a time, because a busy machine changes little.

    Each program runs once before it counts: modules that are compiled in one of its two runs would count as jobs.
    """
    for name in PROGRAMS:
        timed(name, 1, service)
    with ThreadPoolExecutor(2) as pool:
        runs = {name: [pool.submit(counted, name, jobs, service) for jobs in (_FEW, _MANY)] for name in PROGRAMS}
    return {name: (more.result() - few.result()) / (_MANY - _FEW) for name, (few, more) in runs.items()}


def _processor_time(service: RawService) -> dict[str, list[float]]:
    """Seconds of a job, by program and round."""

    def of_a_job(name: str) -> float:
        few, many = timed(name, _TIMED_FEW, service).cpu, timed(name, _TIMED_MANY, service).cpu
        return (many - few) / (_TIMED_MANY - _TIMED_FEW)

    return interleaved({name: lambda name=name: of_a_job(name) for name in _TIMED}, _ROUNDS)


def _counted_figures(counts: Mapping[str, float]) -> list[Figure]:
    own = counts[PRODUCT] - counts[HASHING]
    faster = counts[ON_UVLOOP] - counts[HASHING]

    def ratio(one: float, other: str) -> list[float]:
        return [one / counts[other]]

    floor = counts[BARE] / counts[NAIVE]
    short = (
        f"{_LESS_HASH} The five requests alone, made by aiohttp's session with a connection of its own for the submit, "
        f"are {floor:.2f} ×. The goal would leave the whole product less than that."
    )
    return [
        at_most("instructions, less the hash", ratio(own, NAIVE), 0.35, peer="naive gather script", remark=short),
        at_most(
            "instructions, less the hash",
            ratio(own, BARE),
            1.3,
            peer="the same requests bare",
            remark=f"{_CLOSED} {_PARTS}",
        ),
        noted("instructions, less the hash", ratio(own, COOKBOOK), peer="cookbook dispatcher"),
        noted("instructions, less the hash", ratio(own, BARE_KEPT), peer="the same requests bare, all kept alive"),
        noted(
            "instructions, less the hash, without report.html",
            ratio(counts[NO_REPORT] - counts[HASHING], BARE),
            peer="the same requests bare",
        ),
        noted("instructions, less the hash, on uvloop", ratio(faster, NAIVE), peer="naive gather script"),
        noted("instructions, less the hash, on uvloop", ratio(faster, BARE), peer="the same requests bare"),
        noted("instructions, less the hash, on uvloop", [faster / own], peer="the product on Python's own loop"),
        noted(
            "instructions with the hash",
            ratio(counts[PRODUCT], NAIVE),
            peer="naive gather script, which hashes nothing",
        ),
        *(
            noted(f"instructions a job: {name}", [count / 1e6], peer="", unit="million")
            for name, count in counts.items()
        ),
    ]


def _timed_figures(times: Mapping[str, list[float]]) -> list[Figure]:
    own, faster = (
        [product - hashing for product, hashing in zip(times[name], times[HASHING], strict=True)]
        for name in (PRODUCT, ON_UVLOOP)
    )
    return [
        noted("processor time, less the hash", ratios(own, times[NAIVE]), peer="naive gather script"),
        noted("processor time, less the hash", ratios(own, times[BARE]), peer="the same requests bare"),
        noted("processor time, less the hash, on uvloop", ratios(faster, times[NAIVE]), peer="naive gather script"),
        noted("processor time, less the hash, on uvloop", ratios(faster, own), peer="the product on Python's own loop"),
        noted("processor time with the hash", ratios(times[PRODUCT], times[NAIVE]), peer="naive gather script"),
    ]


def _crowd_figures(product: Watched, naive: Watched) -> list[Figure]:
    remark = f"The schedule asked {product.questions:.0f} questions a second, the script {naive.questions:.0f}."
    return [
        at_most(f"{TASKS} running tasks: share of a core", [product.share], 5.0, peer="", unit="%", remark=remark),
        noted(f"{TASKS} running tasks, asked every second", [naive.share], peer="naive gather script", unit="%"),
    ]


if __name__ == "__main__":
    main()

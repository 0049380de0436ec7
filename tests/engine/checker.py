"""The checker: it knows the truth, and holds the ledger, the results file and the disk to the promises of design §2.

`check_run` is asked after every run, also after a crash; `check_life` when everything has come to rest. What is
checked while a run goes on stands in `watching.py`; what the service could charge against the caps is checked in both.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.core.jobs import JobState, Stage, TaskState
from pipeline.engine.batch import Summary
from pipeline.ledger import RESULTS_NAME, rebuild
from pipeline.settings import Settings
from tests.engine.snapshot import Line, Row, Snapshot
from tests.engine.watching import End, Told, Watch
from tests.engine.world import UNREADABLE, TrueTask, World

_STOPPING_TAKES = 2.0
"""Seconds beyond the grace within which a stopped run has ended, slow ledger included."""
_STATES = {"succeeded": JobState.DONE, "failed": JobState.FAILED, "unknown": JobState.UNKNOWN}


class Violation(AssertionError):  # noqa: N818 - a promise was broken
    """The engine broke a promise."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one run looked like from outside; seconds of its own loop."""

    settings: Settings
    summary: Summary | None
    """None where the run died or ended with an error."""
    ended: float | None
    insisted: float | None
    """When the second signal came."""


def require(holds: bool, sentence: str) -> None:
    """Raises `Violation` with the sentence unless the promise holds."""
    if not holds:
        raise Violation(sentence)


# -- after every run --------------------------------------------------------------------------------------------------


def check_run(sight: Sight, watch: Watch, world: World, told: Told, before: Snapshot, after: Snapshot) -> None:
    """What must hold after a run, however it ended."""
    watch.dead = False  # whatever came of its requests after its death is its doing as well
    watch.check_spending()
    check_watch(watch)
    _check_decisions(sight.settings, before, after)
    _check_tasks_are_known(world, told, after)
    _check_purchases(world, after)
    _check_doubts(watch, before, after)
    if sight.summary is not None:
        _check_summary(sight, sight.summary, world, after)
    if sight.ended is not None:
        _check_stop(sight, sight.ended, watch.asked_to_stop)


def check_watch(watch: Watch) -> None:
    """What was seen amiss while the run went on; asked first, since whatever broke the run may have come of it."""
    require(not watch.complaints, "; ".join(dict.fromkeys(watch.complaints[:3])))


def check_results(folder: Path, after: Snapshot, *, died: bool) -> None:
    """The file holds the ledger's lines; a crash may leave fewer of them, or a torn last one, but never others."""
    path = folder / RESULTS_NAME
    text = path.read_bytes().decode() if path.exists() else ""
    whole = "".join(f"{line}\n" for line in after.texts)
    if died:
        require(whole.startswith(text), "results.jsonl says what the ledger does not")
    else:
        require(text == whole, "results.jsonl is not what the ledger says after a run that ended in order")


def _check_decisions(settings: Settings, before: Snapshot, after: Snapshot) -> None:
    """What has ended stays ended, and no attempt is added, unless the run was told to buy again."""
    for job_id, old in before.rows.items():
        require(job_id in after.rows, f"job {job_id} has left the ledger")
        new, granted = after.rows[job_id], _granted(job_id, old, settings)
        _check_attempts(job_id, old, new, granted)
        if old.state.ended and not granted and not old.download_again:
            require(new == old, f"job {job_id} had ended as {old} and is {new} now, which nobody asked for")
        if old.state in {JobState.RUNNING, JobState.FETCHING, JobState.DONE}:
            require(new.task_id == old.task_id, f"job {job_id} had task {old.task_id} and has {new.task_id} now")
    for job_id in after.rows.keys() - before.rows.keys():
        require(after.rows[job_id].attempt <= 1, f"job {job_id} was bought {after.rows[job_id].attempt} times in a run")


def _granted(job_id: str, old: Row, settings: Settings) -> int:
    """How many attempts a run may add to a job: one for what is queued, else only where the settings say so."""
    if old.state is JobState.QUEUED:
        return 1
    selected = fnmatchcase(job_id, settings.select or "*")
    if old.state is JobState.FAILED:
        return int(settings.retry_failed and selected and not old.download_again)
    caught = old.state is JobState.SUBMITTING and old.external_id is None
    if old.state is JobState.UNKNOWN or caught:
        return int(settings.resubmit_unknown and selected)
    return 0


def _check_attempts(job_id: str, old: Row, new: Row, granted: int) -> None:
    require(
        new.attempt <= old.attempt + granted,
        f"job {job_id} was {old.state} after {old.attempt} attempts and has {new.attempt} after a run "
        f"that was allowed {granted}",
    )


def _check_tasks_are_known(world: World, told: Told, after: Snapshot) -> None:
    """Every task that exists is on record or in doubt, and every id that was told is on record."""
    on_record = after.task_ids
    doubted = {(line["job_id"], line["attempts"]) for line in after.lines if line["status"] == "unknown"}
    attempts: Counter[tuple[str, int]] = Counter()
    for task in world.tasks.values():
        attempts[task.job_id, task.attempt] += 1
        if task.task_id in on_record:
            continue
        require(task.task_id not in told.tasks, f"task {task.task_id} was told of and is not on record")
        row, attempt = after.rows[task.job_id], (task.job_id, task.attempt)
        require(
            attempt in doubted or _in_doubt(task, row), f"task {task.task_id} is paid for and nobody knows it: {row}"
        )
    for (job_id, attempt), tasks in attempts.items():
        require(tasks == 1, f"attempt {attempt} of job {job_id} was paid {tasks} times")


def _check_purchases(world: World, after: Snapshot) -> None:
    """The ledger holds back at least what the service could charge, and its sums are those of its rows."""
    charged = world.charged()
    require(charged <= after.at_most, f"{charged / 1e6:g} could be charged and {after.at_most / 1e6:g} is on record")
    require(after.at_most == after.summed_up, f"the rows come to {after.at_most} and the sums say {after.summed_up}")


def _check_doubts(watch: Watch, before: Snapshot, after: Snapshot) -> None:
    """What never left is not in doubt."""
    for job_id, row in after.rows.items():
        old = before.rows.get(job_id)
        if row.state is JobState.UNKNOWN and row.task_id is None and (old is None or old.state is JobState.QUEUED):
            require(job_id in watch.submitted, f"job {job_id} is in doubt, and no request for it has left")


def _in_doubt(task: TrueTask, row: Row) -> bool:
    """A submit without an answer, or one that can still be found by our own id."""
    findable = task.external_id is not None and task.external_id == row.external_id and not row.state.ended
    return findable or (row.state is JobState.SUBMITTING and row.attempt == task.attempt)


def _check_summary(sight: Sight, summary: Summary, world: World, after: Snapshot) -> None:
    """Every job has ended or is accounted for."""
    counts = Counter(row.state for row in after.rows.values())
    told = {state: n for state, n in summary.counts.items() if n}
    require(told == dict(counts), f"the run told of {told} and the ledger holds {dict(counts)}")
    if summary.stops:
        return
    settings = sight.settings
    if settings.limit is None and settings.select is None:
        require(not counts[JobState.QUEUED], f"{counts[JobState.QUEUED]} jobs were left in the queue for no reason")
    for job_id, row in after.rows.items():
        accounted = row.state.ended or row.state is JobState.QUEUED or job_id in world.left
        require(accounted, f"job {job_id} is {row.state} after the run, and nobody was told that it was left")


def _check_stop(sight: Sight, ended: float, asked: float | None) -> None:
    if asked is not None:
        took = ended - asked
        require(took <= sight.settings.grace + _STOPPING_TAKES, f"a stop took {took:.1f} s")
    if sight.insisted is not None:
        took = ended - sight.insisted
        require(took <= _STOPPING_TAKES, f"a stop took {took:.1f} s after the second signal")


# -- at the end -------------------------------------------------------------------------------------------------------


def check_life(folder: Path, world: World, told: Told, wanted: Iterable[str], last: Snapshot) -> None:
    """What must hold when everything has come to rest in calm weather."""
    for job_id in wanted:
        require(job_id in last.rows, f"job {job_id} never came into the ledger")
    latest: Mapping[str, Line] = {line["job_id"]: line for line in last.lines}
    for job_id, row in last.rows.items():
        require(row.state.ended, f"job {job_id} has not ended: it is {row.state}")
        require(job_id in latest, f"results.jsonl does not name job {job_id}")
        _check_line_of_end(job_id, row, latest[job_id], world)
    _check_ends(last, told)
    for line in last.lines:
        if line["status"] == "succeeded":
            _check_files(world, line)
    _check_rebuilt(folder)


def _check_line_of_end(job_id: str, row: Row, line: Line, world: World) -> None:
    """The newest line says how the job stands, and no doubt or failure is there without a cause."""
    said = (_STATES[line["status"]], line["attempts"], line["task_id"])
    require(said == (row.state, row.attempt, row.task_id), f"job {job_id} is {row} and its last line says {said}")
    task = world.tasks.get(row.task_id or "")
    if task is None or task.lost_at_the_service:
        return
    require(row.state is not JobState.UNKNOWN, f"job {job_id} was given up, though its task {row.task_id} is there")
    stage = line["error"]["stage"] if line["error"] else None
    require(stage != Stage.DOWNLOAD, f"job {job_id} is paid for and was not fetched in calm weather: {line['error']}")
    succeeded = task.state is TaskState.SUCCEEDED
    require(succeeded == (row.state is JobState.DONE), f"job {job_id} is {row.state} and its task {task.state}")


def _check_ends(last: Snapshot, told: Told) -> None:
    """An end is written and told once, apart from those that cost nothing and may come again."""
    ends = {_end_of(line) for line in last.lines}
    for end in told.ends:
        require(end in ends, f"an end was told that is not on record: {end}")
    written = Counter(_end_of(line) for line in last.lines if not _line_may_come_again(line))
    for counted in (written, told.ends):
        for end, times in counted.items():
            require(times == 1, f"an end was written or told {times} times: {end}")


def _end_of(line: Line) -> End:
    return line["job_id"], line["attempts"], line["task_id"], _STATES[line["status"]]


def _line_may_come_again(line: Line) -> bool:
    """As `may_come_again`, of a line."""
    error = line["error"]
    return bool(error) and (error["stage"] == Stage.DOWNLOAD or error["code"] == UNREADABLE)


def _check_files(world: World, line: Line) -> None:
    """The videos are all there when their job succeeded; a later attempt's may have taken their place since."""
    task, files = world.tasks[line["task_id"]], line["files"]
    require(len(files) == task.videos, f"job {task.job_id} has {len(files)} files of {task.videos} videos")
    for file in files:
        blocks = world.files.get(file["path"], ())
        require(len(set(blocks)) == 1, f"{file['path']} is mixed from {blocks}")
        require(task.task_id in blocks[0], f"{file['path']} comes from {blocks[0]} and not from {task.task_id}")


def _check_rebuilt(folder: Path) -> None:
    path = folder / RESULTS_NAME
    before = path.read_bytes()
    rebuild(folder)
    require(path.read_bytes() == before, "results.jsonl rebuilt is not results.jsonl")

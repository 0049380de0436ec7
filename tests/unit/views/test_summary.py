"""What a run came to, and where a batch stands."""

import json
from dataclasses import replace

from pipeline.core.jobs import Failure, Job, JobState, Outcome, Record, Source, Stage, Task
from pipeline.core.money import Spending
from pipeline.ledger import FailureGroup, Run, UnknownJob
from pipeline.views.status import BatchStatus, status_json, status_lines
from pipeline.views.summary import SHOWN, Commands, Ending, last_line, summary_lines

COMMANDS = Commands("pipeline", "run 'my shots.yaml'", "outputs/shots")
ENDING = Ending(0, {JobState.DONE: 2}, 14.16, "outputs/shots", (), (), ())
SENT = "sent 1970-01-01T00:00:01.500Z, body sha256 abababababababab…"
DECIDE = "  to decide for one: pipeline resolve outputs/shots JOB --task-id ID | --resubmit | --write-off"


def unknown(job_id: str = "wave", task: Task | None = None) -> UnknownJob:
    job = Job(job_id, "d", "m", {}, {}, f"{job_id}.mp4", Source("m.yaml", 1))
    failure = Failure(Stage.SUBMIT, "connection_lost", "the connection\nbroke")
    record = Record(job, JobState.UNKNOWN, 1, task, outcome=Outcome(JobState.UNKNOWN, (), failure))
    return UnknownJob(record, 1.5, "ab" * 32, "https://api")


def group(number: int = 1, count: int = 1) -> FailureGroup:
    return FailureGroup("submit", f"code{number}", count, f"job{number}", "no \x1b[2Jgood")


def test_two_lines_are_enough_when_all_went_well() -> None:
    """Where the videos are, and the stable last line."""
    assert summary_lines(ENDING, COMMANDS) == [
        "videos: outputs/shots/videos, results: outputs/shots/results.jsonl",
        "pipeline: exit 0: 2 jobs: 2 done, 0 failed, 0 unknown, 0 remaining in 14.2 s",
    ]


def test_failures_are_named_by_reason_when_jobs_failed() -> None:
    """The most frequent reasons with their first job, and the command that buys again."""
    ending = replace(ENDING, exit_code=1, counts={JobState.FAILED: 7}, failures=[group(1, 6), group(2)])
    assert summary_lines(ending, COMMANDS)[:4] == [
        "failed: 7 jobs",
        r"     6 × code1 at submit, first job1: no \x1b[2Jgood",
        r"     1 × code2 at submit, first job2: no \x1b[2Jgood",
        "  to buy another attempt for each: pipeline run 'my shots.yaml' --retry-failed",
    ]


def test_money_is_asked_for_only_where_it_is_needed_when_jobs_failed() -> None:
    """What the next run downloads again unpaid is told apart from what another attempt would buy."""
    again = replace(group(3), comes_again=3)
    unpaid = "  to download 3 jobs again, which costs nothing: pipeline run 'my shots.yaml'"
    only = replace(ENDING, counts={JobState.FAILED: 3}, failures=[again])
    assert summary_lines(only, COMMANDS)[2:-2] == [unpaid]
    both = replace(ENDING, counts={JobState.FAILED: 5}, failures=[again, group(2)])
    assert summary_lines(both, COMMANDS)[3:-2] == [
        unpaid,
        "  to buy another attempt for each other: pipeline run 'my shots.yaml' --retry-failed",
    ]


def test_the_rest_is_left_to_status_when_reasons_are_many() -> None:
    """Five reasons are shown; a sixth is counted."""
    few = replace(ENDING, counts={JobState.FAILED: SHOWN}, failures=[group(n) for n in range(SHOWN)])
    many = replace(few, failures=[group(n) for n in range(SHOWN + 1)])
    assert not any("more reason" in line for line in summary_lines(few, COMMANDS))
    assert "       and 1 more reason: pipeline status outputs/shots" in summary_lines(many, COMMANDS)


def test_a_decision_is_asked_for_when_submits_are_unknown() -> None:
    """Each unknown job is named with what helps to find its task, and both ways out are given."""
    ending = replace(ENDING, exit_code=5, counts={JobState.UNKNOWN: 1}, unknown=[unknown()])
    assert summary_lines(ending, COMMANDS)[:4] == [
        "unknown: 1 job: the answer to a paid request was lost, and a person decides",
        rf"       wave, {SENT}: the connection\nbroke (connection_lost)",
        DECIDE,
        "  to buy them all again: pipeline run 'my shots.yaml' --resubmit-unknown",
    ]


def test_the_next_command_is_given_when_work_remains() -> None:
    """Why it stopped, what is left, what of that is paid for, and what to type."""
    counts = {JobState.QUEUED: 5, JobState.RUNNING: 2, JobState.FETCHING: 1, JobState.DONE: 1}
    ending = replace(ENDING, exit_code=3, counts=counts, stops=["SIGTERM received"])
    assert summary_lines(ending, COMMANDS)[:3] == [
        "stopped early: SIGTERM received",
        "left: 8 jobs, 3 of them paid for and collected first",
        "  to go on: pipeline run 'my shots.yaml'",
    ]
    assert last_line(ending).startswith("pipeline: exit 3: 9 jobs: 1 done, 0 failed, 0 unknown, 8 remaining in")


# -- status ------------------------------------------------------------------------------------------------------------

STATUS = BatchStatus(
    "outputs/shots",
    {JobState.DONE: 1, JobState.QUEUED: 1, JobState.UNKNOWN: 1, JobState.FAILED: 1},
    [Run("r1", 0.0, 1.0), Run("r2", 2.0, None)],
    [group()],
    [unknown(task=Task("t1", "https://api"))],
)


def test_status_names_states_reasons_and_decisions_when_a_person_asks() -> None:
    """Counts of every state, failures by reason, and every unknown job."""
    lines = status_lines(STATUS, "pipeline resolve outputs/shots")
    assert lines[0] == "outputs/shots: 4 jobs, 1 remaining"
    assert lines[1] == "  run r2 began 1970-01-01T00:00:02.000Z and has not ended (it goes on, or was killed)"
    assert [line.split() for line in lines[2:9]] == [[str(lines_of(state)), state] for state in JobState]
    assert lines[9:11] == ["failed, by reason:", r"     1 × code1 at submit, first job1: no \x1b[2Jgood"]
    assert lines[11] == "unknown, each waits for a decision:"
    assert lines[12].startswith(f"       wave, {SENT}, task t1: ")
    assert lines[13] == "  to decide: pipeline resolve outputs/shots JOB --task-id ID | --resubmit | --write-off"


def lines_of(state: JobState) -> int:
    return STATUS.counts.get(state, 0)


def test_status_says_when_the_last_run_ended_when_it_did() -> None:
    """A run in good order has both times."""
    ended = replace(STATUS, runs=[Run("r1", 0.0, 1.0)], failures=[], unknown=[])
    assert "  last run r1: 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z" in status_lines(ended, "")
    assert len(status_lines(replace(ended, runs=[]), "")) == 8


def test_status_is_one_object_when_a_script_asks() -> None:
    """The same facts, whole and under stable names."""
    found = json.loads(status_json(STATUS))
    assert found["total"] == 4
    assert found["remaining"] == 1
    assert found["jobs"] == {str(state): lines_of(state) for state in JobState}
    assert found["last_run"] == {"run_id": "r2", "started_at": "1970-01-01T00:00:02.000Z", "ended_at": None}
    assert found["failures"][0]["code"] == "code1"
    assert found["unknown"] == [
        {
            "job_id": "wave",
            "attempt": 1,
            "sent_at": "1970-01-01T00:00:01.500Z",
            "body_sha256": "ab" * 32,
            "base_url": "https://api",
            "task_id": "t1",
            "error": {
                "stage": "submit",
                "code": "connection_lost",
                "message": "the connection\nbroke",
                "http_status": None,
            },
        }
    ]
    assert json.loads(status_json(replace(STATUS, runs=[])))["last_run"] is None


def test_status_tells_money_with_its_day_and_says_when_it_was_none() -> None:
    """An amount carries the day of the prices; what a rehearsal came to was never paid."""
    spent = replace(STATUS, spending=[Spending("CNY", tasks=2, spent=1_800_000)], prices_as_of="2026-03-24")
    line = "spent: 1.80 CNY, 2 paid tasks (prices of 2026-03-24)"
    assert line in status_lines(spent, "")
    assert f"a rehearsal: nothing was paid; live: {line}" in status_lines(replace(spent, rehearsal=True), "")
    facts = json.loads(status_json(replace(spent, rehearsal=True)))
    assert (facts["spending"][0]["spent"], facts["prices_as_of"], facts["rehearsal"]) == ("1.80", "2026-03-24", True)


def test_the_summary_tells_what_this_run_cost_and_what_the_folder_did() -> None:
    """Before and after, with the day of the prices; a rehearsal cost nothing."""
    before, after = (Spending("CNY", tasks=n, spent=n * 900_000) for n in (1, 3))
    ended = replace(ENDING, spending=[after], spent_before=[before], prices_as_of="2026-03-24")
    told = [line for line in summary_lines(ended, COMMANDS) if "spent" in line or "cost" in line]
    assert told == ["spent: 2.70 CNY, 3 paid tasks; 1.80 CNY by this run (prices of 2026-03-24)"]
    assert "cost: none, this was a rehearsal" in summary_lines(replace(ended, rehearsal=True), COMMANDS)

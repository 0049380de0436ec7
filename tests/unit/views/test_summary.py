"""What a run came to, and where a batch stands."""

import json
from dataclasses import replace

import pytest

from pipeline.core.jobs import Failure, Job, JobState, Outcome, Record, Source, Stage, Task
from pipeline.core.money import Spending
from pipeline.engine.desk import Stop
from pipeline.ledger import FailureGroup, Run, UnknownJob
from pipeline.views.next_step import Commands
from pipeline.views.status import BatchStatus, status_json, status_lines
from pipeline.views.summary import SHOWN, Ending, Harvest, last_line, spoken_lines, summary_lines

COMMANDS = Commands(
    *("pipeline", "run 'my shots.yaml'", "outputs/shots"),
    uncapped="run 'my shots.yaml'",
)
ENDING = Ending(
    exit_code=0,
    counts={JobState.DONE: 2},
    elapsed=14.16,
    folder="outputs/shots",
    spending=(Spending("CNY", tasks=2, spent=1_800_000),),
    harvest=Harvest({JobState.DONE: 2}, 2, 4_900_000),
)
SENT = "sent 1970-01-01T00:00:01.500Z, body sha256 abababababababab…"
DECIDE = "  to decide for one: pipeline resolve outputs/shots JOB --task-id ID | --resubmit | --write-off"


def unknown(job_id: str = "wave", task: Task | None = None) -> UnknownJob:
    job = Job(job_id, "d", "m", {}, {}, f"{job_id}.mp4", Source("m.yaml", 1))
    failure = Failure(Stage.SUBMIT, "connection_lost", "the connection\nbroke")
    record = Record(job, JobState.UNKNOWN, 1, task, outcome=Outcome(JobState.UNKNOWN, (), failure))
    return UnknownJob(record, 1.5, "ab" * 32, "https://api")


def group(number: int = 1, count: int = 1) -> FailureGroup:
    return FailureGroup("submit", f"code{number}", count, f"job{number}", "no \x1b[2Jgood")


def five(ending: Ending) -> list[str]:
    """The five lines before the last one."""
    return summary_lines(ending, COMMANDS)[-6:-1]


def groups(ending: Ending) -> list[str]:
    """What stands above the five lines."""
    return summary_lines(ending, COMMANDS)[:-6]


# -- the five lines ----------------------------------------------------------------------------------------------------


def test_five_lines_and_the_last_one_are_enough_when_all_went_well() -> None:
    """What happened, what it cost, what is left, what is next, where the files are; and the stable last line."""
    assert summary_lines(ENDING, COMMANDS) == [
        "happened: 2 done (2 videos, 4.9 MB) in 14.2 s",
        "cost: 1.80 CNY for what ended in this run; in all spent: 1.80 CNY, 2 paid tasks",
        "left: nothing",
        "next: nothing; to compare every video with its record: pipeline verify outputs/shots",
        "videos: outputs/shots/videos, results: outputs/shots/results.jsonl",
        "pipeline: exit 0: 2 jobs: 2 done, 0 failed, 0 unknown, 0 remaining in 14.2 s",
    ]


def test_a_run_is_told_apart_from_the_batch_when_it_was_not_the_first() -> None:
    """What this run brought and cost, and what all came to; what has no known price is named, not added up."""
    counts = {JobState.DONE: 9, JobState.FAILED: 2, JobState.QUEUED: 1}
    spending = (Spending("", tasks=3), Spending("CNY", tasks=8, spent=5_000_000, estimated=900_000, reserved=900_000))
    ending = replace(
        ENDING, counts=counts, spending=spending, spent_before=(Spending("CNY", spent=4_000_000),), elapsed=200
    )
    happened, cost, *_ = five(ending)
    assert happened == "happened: 2 done (2 videos, 4.9 MB) in 3 min 20 s; in all 9 of 12 jobs are done"
    assert cost == (
        "cost: 1.00 CNY for what ended in this run; in all price unknown: 3 paid tasks; "
        "spent: 5.00 CNY (0.90 of it estimated), 0.90 CNY reserved, 8 paid tasks"
    )


@pytest.mark.parametrize(
    ("spending", "cost"),
    [((), "cost: nothing was bought"), ((Spending("", tasks=3),), "cost: price unknown: 3 paid tasks")],
)
def test_an_unknown_price_is_no_zero_when_a_run_ends(spending: tuple[Spending, ...], cost: str) -> None:
    """Nothing bought and nothing known are told apart."""
    assert five(replace(ENDING, spending=spending))[1] == cost


def test_a_rehearsal_costs_nothing_and_leads_to_the_price_when_it_ends() -> None:
    """The next step is to see what the same costs live."""
    commands = replace(COMMANDS, plan="plan 'my shots.yaml'")
    _, cost, _, following, _ = summary_lines(replace(ENDING, rehearsal=True), commands)[-6:-1]
    assert cost == "cost: none, this was a rehearsal"
    assert following == "next, to see what it costs live: pipeline plan 'my shots.yaml'"


def test_the_report_is_named_when_there_is_one() -> None:
    """Beside the videos and the results."""
    assert five(replace(ENDING, has_report=True))[-1].endswith("results.jsonl, report: outputs/shots/report.html")


GO_ON = "pipeline run 'my shots.yaml'"
STOPPED = replace(ENDING, exit_code=3, counts={JobState.QUEUED: 5, JobState.DONE: 1})
AGAIN = FailureGroup("download", "code", 3, "job", "message", comes_again=3)


def test_what_is_next_stands_before_the_files_when_a_run_ends() -> None:
    """In the words of every other place that tells it."""
    assert five(STOPPED)[3] == f"next, to go on: {GO_ON}"


# -- the groups --------------------------------------------------------------------------------------------------------


def test_failures_are_named_by_reason_when_jobs_failed() -> None:
    """The most frequent reasons with their first job; the command that buys again is the next one."""
    ending = replace(ENDING, exit_code=1, counts={JobState.FAILED: 7}, failures=[group(1, 6), group(2)])
    assert groups(ending) == [
        "failed: 7 jobs",
        r"     6 × code1 at submit, first job1: no \x1b[2Jgood",
        r"     1 × code2 at submit, first job2: no \x1b[2Jgood",
    ]


def test_money_is_asked_for_only_where_it_is_needed_when_jobs_failed() -> None:
    """What the next run downloads again unpaid comes first; what another attempt would buy is told apart."""
    ending = replace(ENDING, counts={JobState.FAILED: 5}, failures=[AGAIN, group(2)])
    assert groups(ending)[3:] == [f"  to buy another attempt for each other: {GO_ON} --retry-failed"]
    assert "which costs nothing" in five(ending)[3]


def test_a_command_of_a_group_stays_when_another_one_is_next() -> None:
    """A run that stopped goes on first; how to buy the failed ones again is still told."""
    ending = replace(STOPPED, counts={JobState.QUEUED: 1, JobState.FAILED: 1}, failures=[group()])
    assert groups(ending)[-1] == f"  to buy another attempt for each: {GO_ON} --retry-failed"


def test_the_rest_is_left_to_status_when_reasons_are_many() -> None:
    """Five reasons are shown; a sixth is counted."""
    few = replace(ENDING, counts={JobState.FAILED: SHOWN}, failures=[group(n) for n in range(SHOWN)])
    many = replace(few, failures=[group(n) for n in range(SHOWN + 1)])
    assert not any("more reason" in line for line in summary_lines(few, COMMANDS))
    assert "       and 1 more reason: pipeline status outputs/shots" in summary_lines(many, COMMANDS)


def test_a_decision_is_asked_for_when_submits_are_unknown() -> None:
    """Each unknown job is named with what helps to find its task, and both ways out are given."""
    ending = replace(ENDING, exit_code=5, counts={JobState.UNKNOWN: 2}, unknown=[unknown(), unknown("sea")])
    assert groups(ending) == [
        "unknown: 2 jobs: the answer to a paid request was lost, and a person decides",
        rf"       wave, {SENT}: the connection\nbroke (connection_lost)",
        rf"       sea, {SENT}: the connection\nbroke (connection_lost)",
        DECIDE,
        f"  to buy them all again: {GO_ON} --resubmit-unknown",
    ]


def test_what_a_folder_is_called_changes_nothing_of_what_is_said() -> None:
    """Which commands a group shows follows from the kind of the next step, and from no word in it."""
    ending = replace(ENDING, counts={JobState.FAILED: 5, JobState.QUEUED: 1}, failures=[AGAIN, group(2)])
    commands = replace(COMMANDS, run="run 'download to decide another attempt.yaml'")
    assert summary_lines(ending, commands)[3:5] == [
        f"  to download 3 jobs again, which costs nothing: {commands.fetch}",
        f"  to buy another attempt for each other: {commands.go_on} --retry-failed",
    ]


def test_what_costs_nothing_buys_nothing_when_jobs_still_wait() -> None:
    """The same run would buy those that wait, whatever came of the downloads."""
    ending = replace(ENDING, counts={JobState.FAILED: 3, JobState.QUEUED: 1}, failures=[AGAIN])
    commands = replace(COMMANDS, collecting=" --api-key-file key")
    words = "  to download 3 jobs again, which costs nothing: "
    assert f"{words}pipeline collect outputs/shots --api-key-file key" in summary_lines(ending, commands)
    assert f"{words}{GO_ON}" in summary_lines(
        replace(ending, counts={JobState.FAILED: 3, JobState.RUNNING: 1}), commands
    )


def test_it_is_said_whom_a_further_attempt_is_for_when_jobs_were_selected() -> None:
    """The command keeps its `--select`, and buys nothing for others."""
    counts = {JobState.FAILED: 5, JobState.UNKNOWN: 1, JobState.QUEUED: 1}
    ending = replace(ENDING, counts=counts, failures=[group(2)], unknown=[unknown()], selected=True)
    lines = summary_lines(ending, replace(COMMANDS, run="run s.yaml --select a", unselected="run s.yaml"))
    run = "pipeline run s.yaml --select a"
    assert f"  to buy another attempt for each that --select chooses: {run} --retry-failed" in lines
    assert f"  to buy each that --select chooses again: {run} --resubmit-unknown" in lines


def test_a_collect_says_how_to_buy_the_rest_when_something_else_comes_next() -> None:
    """Only when nothing is in flight any more, and once."""
    commands = replace(COMMANDS, collect="collect outputs/shots")
    ending = replace(ENDING, exit_code=5, counts={JobState.UNKNOWN: 1, JobState.QUEUED: 2}, unknown=[unknown()])
    lines = ["not bought: 2 jobs", f"  to buy what is not bought: {GO_ON}"]
    assert summary_lines(ending, commands)[3:5] == lines
    for counts in ({JobState.RUNNING: 1, JobState.QUEUED: 2}, {JobState.QUEUED: 2}):
        said = summary_lines(replace(ending, counts=counts, unknown=[]), commands)
        assert not any(line.startswith("not bought") for line in said)


def test_a_stop_is_told_when_work_remains() -> None:
    """Why it stopped, what is left, and what of that is paid for."""
    counts = {JobState.QUEUED: 5, JobState.RUNNING: 2, JobState.FETCHING: 1, JobState.DONE: 1}
    ending = replace(ENDING, exit_code=3, counts=counts, stops=[Stop("signal", "SIGTERM received")])
    assert groups(ending) == ["stopped early: SIGTERM received"]
    assert five(ending)[2] == "left: 8 jobs, 3 of them paid for and collected first"
    paid = replace(ending, counts={JobState.RUNNING: 2})
    assert five(paid)[2] == "left: 2 jobs, all of them paid for and collected first"
    assert five(replace(paid, counts={JobState.RUNNING: 1}))[2] == "left: 1 job, which is paid for and collected first"
    assert last_line(ending).startswith("pipeline: exit 3: 9 jobs: 1 done, 0 failed, 0 unknown, 8 remaining in")


# -- nothing to do -----------------------------------------------------------------------------------------------------

IDLE = replace(ENDING, idle=True, harvest=Harvest(), counts={JobState.DONE: 2, JobState.FAILED: 1}, exit_code=1)


def test_a_sentence_is_enough_for_a_person_when_there_is_nothing_to_do() -> None:
    """On a terminal: that it is so, where that leads, and the last line."""
    assert spoken_lines(IDLE, COMMANDS, quiet=False, terminal=True) == [
        "nothing to do: 2 done, 1 failed",
        f"next, to buy another attempt for each failed job: {GO_ON} --retry-failed",
        "videos: outputs/shots/videos, results: outputs/shots/results.jsonl",
        last_line(IDLE),
    ]
    waiting = replace(IDLE, counts={JobState.QUEUED: 4})
    assert spoken_lines(waiting, COMMANDS, quiet=False, terminal=True)[0] == (
        "nothing to do: no job has ended, and 4 jobs that this run was not asked for"
    )


@pytest.mark.parametrize(
    ("ending", "quiet", "said"),
    [
        (IDLE, False, [last_line(IDLE)]),
        (IDLE, True, [last_line(IDLE)]),
        (replace(IDLE, exit_code=0), False, [last_line(replace(IDLE, exit_code=0))]),
        (replace(IDLE, exit_code=0), True, []),
        (ENDING, True, [last_line(ENDING)]),
        (ENDING, False, summary_lines(ENDING, COMMANDS)),
    ],
)
def test_a_mailbox_stays_empty_when_nothing_happened(ending: Ending, quiet: bool, said: list[str]) -> None:
    """No terminal: the last line alone; and with -q and exit code 0 nothing at all, so that cron sends no mail."""
    assert spoken_lines(ending, COMMANDS, quiet=quiet, terminal=False) == said


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


@pytest.mark.parametrize(
    ("holder", "said", "goes_on"),
    [
        (4711, "and goes on (process 4711)", False),
        (0, "and has not ended (it was killed, or goes on elsewhere)", True),
        (None, "and has not ended (it goes on, or was killed)", False),
    ],
)
def test_status_tells_a_run_that_goes_on_from_one_that_was_killed(holder: int | None, said: str, goes_on: bool) -> None:
    """As far as this machine knows; where nobody holds the folder and jobs remain, it says what to do."""
    lines = status_lines(replace(STATUS, holder=holder), "pipeline resolve outputs/shots")
    assert lines[1] == f"  run r2 began 1970-01-01T00:00:02.000Z {said}"
    assert ("to go on: run the manifest again, as before; nothing is paid for twice" in lines) is goes_on
    assert json.loads(status_json(replace(STATUS, holder=holder)))["holder"] == holder


def lines_of(state: JobState) -> int:
    return STATUS.counts.get(state, 0)


def test_status_says_when_the_last_run_ended_when_it_did() -> None:
    """A run in good order has both times."""
    ended = replace(STATUS, runs=[Run("r1", 0.0, 1.0)], failures=[], unknown=[])
    assert "  last run r1: 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z" in status_lines(ended, "")
    assert len(status_lines(replace(ended, runs=[]), "")) == 8


def test_status_shows_our_own_id_when_an_unknown_job_has_one() -> None:
    """Whoever looks for the task at the vendor's can ask for it by that id."""
    lost = unknown()
    ours = replace(lost, record=replace(lost.record, external_id="vbp-0123"))
    status = replace(STATUS, unknown=[ours])
    assert any(f"{SENT}, our id vbp-0123: " in line for line in status_lines(status, ""))
    assert json.loads(status_json(status))["unknown"][0]["external_id"] == "vbp-0123"


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
            "external_id": None,
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
    line = "spent: 1.80 CNY, 1 paid task, 1 unknown (prices of 2026-03-24)"
    assert line in status_lines(spent, "")
    assert f"a rehearsal: nothing was paid; live: {line}" in status_lines(replace(spent, rehearsal=True), "")
    facts = json.loads(status_json(replace(spent, rehearsal=True)))
    assert (facts["spending"][0]["spent"], facts["prices_as_of"], facts["rehearsal"]) == ("1.80", "2026-03-24", True)


def test_the_summary_tells_what_this_run_cost_and_what_the_folder_did() -> None:
    """Before and after, with the day of the prices; a rehearsal cost nothing."""
    before, after = (Spending("CNY", tasks=n, spent=n * 900_000) for n in (1, 3))
    ended = replace(ENDING, spending=[after], spent_before=[before], prices_as_of="2026-03-24")
    told = [line for line in summary_lines(ended, COMMANDS) if "spent" in line or "cost" in line]
    assert told == [
        "cost: 1.80 CNY for what ended in this run; in all spent: 2.70 CNY, 3 paid tasks (prices of 2026-03-24)"
    ]
    assert "cost: none, this was a rehearsal" in summary_lines(replace(ended, rehearsal=True), COMMANDS)

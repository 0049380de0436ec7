"""What a person does when a run has ended."""

from dataclasses import replace

import pytest

from pipeline.core.jobs import Failure, JobState, Outcome, Record, Stage
from pipeline.engine.desk import Stop
from pipeline.ledger import FailureGroup, UnknownJob
from pipeline.settings import Settings
from pipeline.views.next_step import BY_PROGRAM, Close, Commands, Kind, buys_again, is_unselected, next_step
from tests.unit.ends import make_job

RUN = "pipeline run 'my shots.yaml' --select 'a-*' --budget 3"
TYPED = Commands(
    *("pipeline", "run 'my shots.yaml' --select 'a-*' --budget 3", "outputs/shots"),
    unselected="run 'my shots.yaml' --budget 3",
    uncapped="run 'my shots.yaml' --select 'a-*'",
)
COLLECTED = Commands(
    *("pipeline", "run 'my shots.yaml' -o outputs/shots", "outputs/shots"), collect="collect outputs/shots -q"
)
FINE = Close(exit_code=0, counts={JobState.DONE: 2})
STOPPED = replace(FINE, exit_code=3, counts={JobState.QUEUED: 5, JobState.DONE: 1})
AGAIN = FailureGroup("download", "code", 3, "job", "message", comes_again=3)
FAILED = replace(FINE, exit_code=1, counts={JobState.FAILED: 3})
LOST = Outcome(JobState.UNKNOWN, (), Failure(Stage.SUBMIT, "timeout", "no answer"))
UNKNOWN = UnknownJob(Record(make_job("wave"), JobState.UNKNOWN, 1, outcome=LOST), 100.0, "ab" * 32, "https://api")
DOUBTED = replace(FINE, exit_code=5, counts={JobState.UNKNOWN: 1}, unknown=[UNKNOWN])


def stopped(*reasons: str, enough: str = "") -> Close:
    """A run that stopped for these reasons."""
    return replace(STOPPED, stops=[Stop(reason, "a message", enough=enough) for reason in reasons])


@pytest.mark.parametrize(
    ("close", "kind", "text"),
    [
        (stopped("signal"), Kind.GO_ON, f"to go on: {RUN}"),
        (stopped("refused"), Kind.GO_ON, f"once the account is mended (key, quota, balance): {RUN}"),
        (stopped("signal", "budget"), Kind.GO_ON, f"once its caps are changed, as said above: {RUN}"),
        (
            stopped("budget", enough="--budget 16.20"),
            Kind.GO_ON,
            "with enough for all that is left: pipeline run 'my shots.yaml' --select 'a-*' --budget 16.20",
        ),
        (stopped("disk"), Kind.GO_ON, f"once there is room: {RUN}"),
        (stopped("outage"), Kind.GO_ON, f"once the service answers: {RUN}"),
        (
            replace(FINE, error="a bug: KeyError", counts={JobState.QUEUED: 1}),
            Kind.GO_ON,
            f"once what ended the run is mended: {RUN}",
        ),
        (
            replace(STOPPED, exit_code=0, unselected=True),
            Kind.GO_ON,
            "to go on with the rest: pipeline run 'my shots.yaml' --budget 3",
        ),
        (replace(FAILED, failures=[AGAIN]), Kind.FETCH, f"to download 3 jobs again, which costs nothing: {RUN}"),
        (
            DOUBTED,
            Kind.DECIDE,
            "to decide about wave: pipeline resolve outputs/shots wave --task-id ID (or --resubmit, or --write-off)",
        ),
        (
            replace(FAILED, selected=True),
            Kind.RETRY,
            f"to buy another attempt for each failed job that --select chooses: {RUN} --retry-failed",
        ),
        (FINE, Kind.NOTHING, "nothing; to compare every video with its record: pipeline verify outputs/shots"),
    ],
)
def test_the_one_most_useful_command_is_given_when_a_run_ends(close: Close, kind: Kind, text: str) -> None:
    """What is paid for is collected before anything is bought again; the command can be typed as it stands."""
    step = next_step(close, TYPED)
    assert (step.kind, step.text) == (kind, text)


def test_what_costs_nothing_buys_nothing_when_the_settings_buy_failed_jobs_again() -> None:
    """`retry_failed` in a file or the environment holds for the same run, too: then `collect` fetches the videos."""
    commands = replace(TYPED, collecting=" -c cron.yaml", left_out="--on-job")
    step = next_step(replace(FAILED, failures=[AGAIN], rebuys=True), commands)
    assert step.text == "to download 3 jobs again, which costs nothing: pipeline collect outputs/shots -c cron.yaml"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), False),
        (Settings(retry_failed=True), True),
        (Settings(resubmit_unknown=True), True),
    ],
)
def test_a_run_buys_again_when_its_settings_say_so(settings: Settings, expected: bool) -> None:
    """Wherever they were said."""
    assert buys_again(settings) is expected


def test_the_rest_is_selected_when_a_file_and_no_flag_has_left_it_out() -> None:
    """The same command again would leave it out again, and end with exit 0 each time."""
    commands = replace(TYPED, run="run shots.yaml", unselected="")
    step = next_step(replace(STOPPED, exit_code=0, unselected=True), commands)
    assert step.text == "to go on with the rest: pipeline run shots.yaml --select '*'"


def test_a_rehearsal_leads_to_its_price_when_it_has_ended_well() -> None:
    """What the paid run would cost."""
    step = next_step(FINE, replace(TYPED, plan="plan 'my shots.yaml'"))
    assert step.line == "next, to see what it costs live: pipeline plan 'my shots.yaml'"


@pytest.mark.parametrize(
    ("close", "kind", "text"),
    [
        (replace(STOPPED, counts={JobState.RUNNING: 2}), Kind.GO_ON, "to go on: pipeline collect outputs/shots -q"),
        (
            replace(FAILED, counts={JobState.FAILED: 3, JobState.QUEUED: 1}, failures=[AGAIN]),
            Kind.FETCH,
            "to download 3 jobs again, which costs nothing: pipeline collect outputs/shots -q",
        ),
        (
            replace(DOUBTED, counts={JobState.UNKNOWN: 1, JobState.QUEUED: 1}),
            Kind.DECIDE,
            "to decide about wave: pipeline resolve outputs/shots wave --task-id ID (or --resubmit, or --write-off)",
        ),
        (
            replace(STOPPED, exit_code=0),
            Kind.BUY,
            "to buy the 5 jobs that are not bought yet: pipeline run 'my shots.yaml' -o outputs/shots",
        ),
        (
            replace(STOPPED, exit_code=0, counts={JobState.QUEUED: 1}),
            Kind.BUY,
            "to buy the job that is not bought yet: pipeline run 'my shots.yaml' -o outputs/shots",
        ),
        (
            FAILED,
            Kind.RETRY,
            "to buy another attempt for each failed job: pipeline run 'my shots.yaml' -o outputs/shots --retry-failed",
        ),
    ],
)
def test_who_chose_to_buy_nothing_goes_on_so_when_tasks_are_in_flight(close: Close, kind: Kind, text: str) -> None:
    """The same again while it collects something; only then a run, which says that it buys."""
    step = next_step(close, COLLECTED)
    assert (step.kind, step.text) == (kind, text)


def test_what_is_left_out_of_a_command_is_said_before_it() -> None:
    """The command stays one that can be typed; a step that is no run has nothing to leave out."""
    commands = replace(TYPED, left_out="--on-finish")
    assert next_step(FAILED, commands).text == (
        f"to buy another attempt for each failed job (with your --on-finish, left out here): {RUN} --retry-failed"
    )
    assert "left out" not in next_step(FINE, commands).text


def test_a_program_is_told_in_its_own_words_when_it_runs_the_batch() -> None:
    """It has typed no command."""
    assert next_step(STOPPED, BY_PROGRAM).text == "to go on: run the program again"
    assert next_step(FAILED, BY_PROGRAM).text.endswith(": run the program again, with retry_failed")
    assert next_step(DOUBTED, BY_PROGRAM.over("my shots")).text.startswith(
        "to decide about wave: pipeline resolve 'my shots' wave "
    )


@pytest.mark.parametrize(
    ("counts", "stops", "settings", "expected"),
    [
        ({JobState.QUEUED: 1}, (), Settings(select="a"), True),
        ({JobState.QUEUED: 0, JobState.DONE: 1}, (), Settings(select="a"), False),
        ({JobState.QUEUED: 1, JobState.RUNNING: 1}, (), Settings(select="a"), False),
        ({JobState.QUEUED: 1}, (Stop("signal", "stop"),), Settings(select="a"), False),
        ({JobState.QUEUED: 1}, (), Settings(select="a", limit=1), False),
        ({JobState.QUEUED: 1}, (), Settings(), False),
    ],
)
def test_what_remains_was_not_selected_when_nothing_else_explains_it(
    counts: dict[JobState, int], stops: tuple[Stop, ...], settings: Settings, expected: bool
) -> None:
    """No stop, no limit, nothing in flight, and a selection."""
    assert is_unselected(counts, stops, settings) is expected

"""A plan for people and for scripts, and the first lines of a run, as text."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pipeline.core.events import BatchPriced
from pipeline.core.jobs import JobState, Source
from pipeline.core.money import Quote, Spending
from pipeline.engine.budget import Caps
from pipeline.engine.figures import Figures
from pipeline.ledger import ChangedJob
from pipeline.plan import Disk, Plan, Rows, Time
from pipeline.views.plan import plan_json, plan_lines, priced_facts, priced_lines
from pipeline.views.text import cells

WAN = Quote(
    "a", "Wan-AI/Wan2.2-I2V", "480P", 5000, 8000, "CNY", 900_000, 1_440_000, 50.0, "parameters.duration not given"
)
LONG = Quote("b", "acme/a-model-with-a-name-for-two-lines", "1920x1080", 10_000, 10_000, "EUR", 1_250_000, 1_250_000)
UNKNOWN = Quote("c", "kling-v3", note="no price is published for this model")
NEW = Plan(
    manifest="shots.yaml",
    folder="outputs/shots",
    rows=Rows(new=3),
    left=dict.fromkeys(JobState, 0),
    changed=(),
    on_changed="error",
    to_submit=Figures({WAN: 2, UNKNOWN: 1}),
    beyond_limit=0,
    retried=0,
    resubmitted=0,
    not_selected=0,
    caps=Caps(),
    affordable=3,
    objection=None,
    spending=(),
    time=Time(130.0, 4, 0, 3),
    disk=Disk(5_000_000, None),
    prices_as_of="2026-03-24",
)
CHANGED = ChangedJob("wave-01", Source("shots.yaml", 12), JobState.DONE, Source("old.yaml", 4), ("input.prompt",))
SPENT = Spending(
    "CNY", tasks=4, spent=5_000_000, estimated=900_000, reserved=1_440_000, at_most=7_880_000, seconds=9500
)


def text(plan: Plan) -> str:
    """The plan for people; no line is wider than a terminal."""
    lines = plan_lines(plan)
    assert [line for line in lines if cells(line) > 79] == []
    return "\n".join(lines)


# -- for people


def test_a_plan_says_what_is_bought_and_what_it_costs() -> None:
    """One line for each model, resolution and length; the sums, the day of the prices, time and disk."""
    assert text(NEW) == (
        "shots.yaml into outputs/shots\n"
        "        3 new\n"
        "to submit: 3 jobs\n"
        "  model                    video             jobs      length   each   expected\n"
        "  Wan-AI/Wan2.2-I2V        480P, 5 s            2      10.0 s   0.90       1.80\n"
        "  kling-v3                 ?                    1           ?      ?    unknown\n"
        "  expected 1.80 CNY, at worst 2.88 CNY\n"
        "  1 job of kling-v3: price unknown\n"
        "  parameters.duration not given\n"
        "  no price is published for this model\n"
        "prices: as published on 2026-03-24\n"
        "time: about 2 min 10 s on 4 slots, by what the vendor's documents say\n"
        "disk: about 5.0 MB, assuming 500 kB for each second of video"
    )


def test_an_unknown_price_is_never_a_number() -> None:
    """Where nothing is known no sum is told, and no zero stands anywhere."""
    said = text(replace(NEW, to_submit=Figures({UNKNOWN: 3})))
    assert "expected" not in said.split("each   expected")[1]
    assert "0.00" not in said
    assert "3 jobs of kling-v3: price unknown" in said


def test_currencies_stay_apart_and_names_fit_their_column() -> None:
    """Two currencies are two sums, named in each line; a long name keeps its end, which tells it from its siblings."""
    said = text(replace(NEW, to_submit=Figures({WAN: 1, LONG: 1})))
    assert "  acme/a-m…e-for-two-lines 1920x1080 10 s       1      10.0 s   1.25   1.25 EUR" in said
    assert "  expected 0.90 CNY, at worst 1.44 CNY\n  expected 1.25 EUR, at worst 1.25 EUR" in said


def test_a_hundred_thousand_jobs_fit_into_the_table() -> None:
    """Long lengths are told in hours."""
    said = text(replace(NEW, to_submit=Figures({WAN: 100_000})))
    assert "  Wan-AI/Wan2.2-I2V        480P, 5 s      100,000     138.9 h   0.90  90,000.00" in said


def test_kinds_that_look_alike_are_one_line() -> None:
    """What only the service's queue tells apart is of no interest here."""
    said = text(replace(NEW, to_submit=Figures({WAN: 2, replace(WAN, kind="z"): 3})))
    assert "480P, 5 s            5" in said


def test_a_hundred_kinds_are_shown_when_there_are_more() -> None:
    """The table has an end; the sums are those of all."""
    many = {replace(WAN, resolution=f"{number}P", expected=1_000_000): 1 for number in range(103)}
    said = text(replace(NEW, to_submit=Figures(many)))
    assert "  … and 3 kinds more (--json has them all)\n  expected 103.00 CNY" in said


def test_every_kind_of_row_is_told() -> None:
    """New, changed, waiting, in flight, done, failed, unknown, and what is no longer in the manifest."""
    left = NEW.left | {JobState.QUEUED: 2, JobState.RUNNING: 1, JobState.DONE: 7}
    said = text(replace(NEW, rows=Rows(1, 0, 2, 3, 4, 1005, 6), left=left, may_be_retried=1005))
    assert (
        "        1 new\n"
        "        2 enrolled before, not bought yet\n"
        "        3 in flight: paid for, collected first\n"
        "        4 done\n"
        "    1,005 failed\n"
        "        6 unknown: may be paid for, a person decides\n"
        "       10 no longer in the manifest: 2 queued, 1 running, 7 done\n"
        "          (the 2 queued would still be bought; --select chooses)\n"
        "          (what is in flight is collected all the same)\n"
    ) in said
    assert "  --retry-failed would buy the failed ones again\n" in said
    assert "  --resubmit-unknown would buy the unknown ones again\n" in said


@pytest.mark.parametrize(
    ("on_changed", "words"),
    [
        ("error", "  a run stops here; --on-changed keep leaves these jobs, rerun buys them anew"),
        ("keep", "  --on-changed keep: these jobs stay as they were enrolled"),
        ("rerun", "  --on-changed rerun: these jobs are bought anew, but for those in flight"),
    ],
)
def test_changed_rows_are_listed_with_what_becomes_of_them(on_changed: str, words: str) -> None:
    """File, line, job, state and fields; a long list is cut."""
    said = text(replace(NEW, rows=Rows(changed=3), changed=(CHANGED, CHANGED), on_changed=on_changed))
    assert (
        "        3 changed since they were enrolled\n"
        "changed:\n"
        "  shots.yaml:12: wave-01 (done):\n"
        "    input.prompt\n"
        "  shots.yaml:12: wave-01 (done):\n"
        "    input.prompt\n"
        f"  … and 1 more\n{words}\n"
    ) in said


def test_what_the_settings_add_or_leave_is_counted() -> None:
    """Second attempts, and what a limit or a selection leaves for another run."""
    said = text(replace(NEW, retried=2, resubmitted=1, beyond_limit=7, not_selected=1000, rows=Rows(failed=2)))
    assert (
        "        2 of them failed before (--retry-failed)\n"
        "        1 of them unknown, some may be paid twice (--resubmit-unknown)\n"
        "        7 more wait for another run (--limit)\n"
        "    1,000 more are not selected (--select)\n"
    ) in said
    assert "would buy the failed" not in said


def test_a_single_job_is_spoken_of_as_one() -> None:
    """In each line that counts."""
    said = text(replace(NEW, beyond_limit=1, not_selected=1, fetched_again=1))
    assert (
        "        1 more waits for another run (--limit)\n"
        "        1 more is not selected (--select)\n"
        "        1 failed at its download: fetched again, unpaid\n"
    ) in said


def test_nothing_is_to_be_bought_when_videos_come_again_unpaid() -> None:
    """A failed download is fetched again by any run; only the other failed jobs would be bought again."""
    fetched = replace(NEW, to_submit=Figures(), rows=Rows(failed=2), fetched_again=2)
    said = "to submit: 0 jobs\n        2 failed at their download: fetched again, unpaid"
    assert text(fetched).endswith(said)
    both = replace(fetched, rows=Rows(failed=3), may_be_retried=1)
    assert text(both).endswith(f"{said}\n  --retry-failed would buy the other failed ones again")
    assert json.loads(plan_json(fetched))["fetched_again"] == 2


def test_what_was_spent_is_told_with_the_day_of_the_prices() -> None:
    """Also where nothing is left to buy: no amount stands without its date."""
    said = text(replace(NEW, to_submit=Figures(), spending=(SPENT, Spending("", tasks=2, unpriced=2))))
    assert said.endswith(
        "to submit: 0 jobs\n"
        "prices: as published on 2026-03-24\n"
        "spent: 5.00 CNY (0.90 of it estimated), 1.44 CNY reserved, at most 7.88 CNY, 4\n  paid tasks\n"
        "price unknown: 2 paid tasks"
    )


def test_nothing_is_claimed_of_a_ledger_that_did_not_note_prices() -> None:
    """An older folder is told apart from one that has spent nothing."""
    assert "spent so far: not noted by the version that wrote this ledger" in text(replace(NEW, spending=None))


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (Time(None, None, 0, 3), "unknown, because --concurrency auto finds the slots as it goes"),
        (Time(None, 4, 1, 1), "unknown, because no document says how long some of these tasks take"),
        (Time(9.0, 1, 3, 0), "about 9.0 s on 1 slot, by what tasks took in this folder"),
        (Time(9000.0, 1000, 1, 2), "about 2 h 30 min on 1,000 slots, by this folder and by the vendor's documents"),
    ],
)
def test_the_time_says_what_it_rests_on(time: Time, words: str) -> None:
    """Learned here, documented, both, or not known and why."""
    assert words in text(replace(NEW, time=time)).replace("\n  ", " ")


@pytest.mark.parametrize(
    ("disk", "words"),
    [
        (Disk(None, None), "unknown, because the length of some videos is"),
        (Disk(2_500_000_000_000, 5e6), "about 2.5 TB, by the mean of this folder's videos, 5.0 MB"),
        (Disk(3_000_000_000, None), "about 3.0 GB, assuming 500 kB for each second of video"),
        (Disk(900, 300.0), "about 1 kB, by the mean of this folder's videos, 0 kB"),
    ],
)
def test_the_disk_says_what_it_rests_on(disk: Disk, words: str) -> None:
    """The mean of what is there already, or an assumption that is named."""
    assert f"disk: {words}" in text(replace(NEW, disk=disk))


def test_caps_say_how_far_they_reach() -> None:
    """In the worst case, in the order of the manifest; where a run would refuse, it says so instead."""
    caps = Caps(5_000_000, 1000, 62_500)
    assert text(replace(NEW, caps=caps)).endswith(
        "caps: budget 5.00, max_jobs 1,000, max_seconds 62.5, at worst enough for all of\n  them"
    )
    assert "at worst enough for 1 of 3" in text(replace(NEW, caps=caps, affordable=1))
    refused = text(replace(NEW, caps=caps, objection="budget cannot be kept: 1 job without a known price"))
    assert "enough" not in refused
    assert refused.endswith("a run would be refused: budget cannot be kept: 1 job without a known price")
    idle = text(replace(NEW, caps=caps, objection="budget cannot be kept: 1 attempt", only_collects=True))
    assert idle.endswith("a run would buy nothing: budget cannot be kept: 1 attempt")


def test_nothing_steers_the_terminal_when_names_are_hostile() -> None:
    """Whatever stands in a manifest, a catalog or a path is written as text."""
    evil = "\x1b[2J\u202e\n"
    quote = replace(WAN, model=f"m{evil}", resolution=f"r{evil}", note=f"n{evil}")
    changed = replace(CHANGED, source=Source(f"f{evil}", 1), differs=(f"input.{evil}",))
    plan = replace(
        NEW,
        manifest=f"m{evil}",
        folder=f"f{evil}",
        to_submit=Figures({quote: 1}),
        rows=Rows(changed=1),
        changed=(changed,),
        objection=f"o{evil}",
        prices_as_of=f"2026{evil}",
    )
    for line in plan_lines(plan):
        assert line.isprintable(), line


# -- for scripts


def facts(plan: Plan) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(plan_json(plan))
    return found


def test_the_json_has_everything_that_the_text_has() -> None:
    """Amounts are exact decimals in strings, null where unknown; states are named though nothing is in them."""
    plan = replace(
        NEW,
        rows=Rows(1, 1, 2, 3, 4, 5, 6),
        changed=(CHANGED,),
        caps=Caps(5_000_000, None, 62_500),
        affordable=2,
        spending=(SPENT,),
        warnings=("shots.yaml:1: careful",),
    )
    found = facts(plan)
    assert found["schema"] == 1
    assert found["rows"] == {
        "new": 1, "changed": 1, "waiting": 2, "in_flight": 3, "done": 4, "failed": 5, "unknown": 6,
    }  # fmt: skip
    assert set(found["left_the_manifest"]) == {str(state) for state in JobState}
    assert found["changed"] == [
        {"job_id": "wave-01", "state": "done", "file": "shots.yaml", "line": 12, "differs": ["input.prompt"]}
    ]
    submit = found["to_submit"]
    assert submit["by_kind"][0] == {
        "model": "Wan-AI/Wan2.2-I2V", "resolution": "480P", "seconds": 5.0, "jobs": 2, "currency": "CNY",
        "each": "0.90", "expected": "1.80", "worst": "2.88", "note": "parameters.duration not given",
    }  # fmt: skip
    assert (submit["by_kind"][1]["expected"], submit["by_kind"][1]["currency"]) == (None, None)
    assert submit["totals"] == [{"currency": "CNY", "jobs": 2, "expected": "1.80", "worst": "2.88"}]
    assert (submit["jobs"], submit["price_unknown"], submit["video_seconds"]) == (3, 1, 10.0)
    assert found["time"] == {"seconds": 130.0, "slots": 4, "jobs_by_learned": 0, "jobs_by_documents": 3}
    assert found["disk"] == {"bytes": 5_000_000, "mean_video_bytes": None}
    assert found["spending"][0]["at_most"] == "7.88"
    assert found["caps"] == {
        "budget": "5.00", "max_jobs": None, "max_seconds": 62.5, "affordable_jobs": 2, "objection": None,
    }  # fmt: skip
    assert (found["prices_as_of"], found["refused"], found["warnings"]) == (
        "2026-03-24", True, ["shots.yaml:1: careful"],
    )  # fmt: skip


def test_the_json_says_null_when_nothing_was_noted() -> None:
    """What an older ledger did not note is not an empty list."""
    assert facts(replace(NEW, spending=None))["spending"] is None


# -- the first lines of a run


SUMS = "expected 1.80 CNY, at worst 2.88 CNY; 1 job of unknown price (prices of 2026-03-24)"
PRICED = BatchPriced(0.0, {WAN: 2, UNKNOWN: 1}, (), 130.0)


def test_a_run_begins_with_the_same_totals() -> None:
    """How many, how long, what it costs at most, what is not known, and the day of the prices."""
    assert priced_lines(PRICED, rehearsal=False, prices_as_of="2026-03-24") == [
        "to submit: 3 jobs, about 2 min 10 s",
        f"  {SUMS}",
    ]


def test_a_run_says_what_the_folder_has_come_to_before() -> None:
    """At most, since a budget counts it so."""
    event = replace(PRICED, spending=(SPENT, Spending("", tasks=1)), seconds=None)
    assert priced_lines(event, rehearsal=False, prices_as_of="2026-03-24") == [
        "to submit: 3 jobs",
        f"  {SUMS}",
        "  this folder has come to 7.88 CNY before, at most",
    ]


def test_a_rehearsal_says_what_it_would_cost_live() -> None:
    """Nothing is paid, nothing was, and its time is not life's."""
    event = replace(PRICED, spending=(SPENT,))
    assert priced_lines(event, rehearsal=True, prices_as_of="2026-03-24") == [
        "to submit: 3 jobs",
        f"  a rehearsal: nothing is paid; live: {SUMS}",
    ]


def test_nothing_is_said_when_nothing_is_bought() -> None:
    """A run that only collects begins in silence."""
    assert priced_lines(replace(PRICED, quotes={}), rehearsal=False, prices_as_of="") == []


def test_a_log_of_objects_has_the_totals_too() -> None:
    """The same names as in the plan's JSON."""
    assert priced_facts(PRICED) == {
        "jobs": 3,
        "totals": [{"currency": "CNY", "jobs": 2, "expected": "1.80", "worst": "2.88"}],
        "price_unknown": 1,
        "spending": [],
        "expected_seconds": 130.0,
    }

"""Cron's nights: each ends with a code that says what the next one does, and none of them pays for anything twice."""

from pathlib import Path
from typing import Any

import yaml

from tests.house.pages import blocks
from tests.process.aftermath import check_folder, check_results
from tests.process.test_run import LAST, counts

QUOTA = Path(__file__).parents[2] / "configs/scenarios/quota-night.yaml"
PROMPTS = tuple(f"wave {number:02}" for number in range(8))
JOBS = {prompt.replace(" ", "-"): 1 for prompt in PROMPTS}


def mail_of_the_page() -> list[str]:
    """The two lines of the mail that docs/cron.md shows, the first without its time."""
    (mail,) = [block.text for block in blocks("docs/cron.md") if "stopping: " in block.text]
    stop, last = mail.splitlines()
    return [stop.partition(" ")[2], last]


def running(event: dict[str, Any]) -> bool:
    return event.get("state") == "running"


def test_the_next_night_goes_on_when_the_daily_quota_ended_this_one(lab: Any) -> None:
    """Exit 4 with what ran collected and the rest queued; the next night finishes; a third says so in one line."""
    scenario = yaml.safe_load(QUOTA.read_text(encoding="utf-8"))
    command = ("run", lab.manifest(*PROMPTS, concurrency=3), "-q")

    tonight = lab.emulator(**scenario)
    ended = lab.run(*command)
    assert (ended.code, counts(ended.last)) == (4, (4, 8, 5, 0, 0, 3)), ended.err
    assert len(ended.out.splitlines()) == 1
    assert len(ended.err.splitlines()) == 1
    assert mail_of_the_page()[0].rstrip("…") in ended.err
    assert LAST.fullmatch(mail_of_the_page()[1])
    assert tonight.bought().total() == 5
    tonight.stop()

    tomorrow = lab.emulator()  # the same service with its tasks, on another day
    ended = lab.run(*command)
    assert (ended.code, counts(ended.last)) == (0, (0, 8, 8, 0, 0, 0)), ended.err
    assert tomorrow.bought() == dict.fromkeys(PROMPTS, 1)
    check_results(lab, JOBS)
    check_folder(lab, len(PROMPTS))

    ended = lab.run(*command)
    assert (ended.code, ended.err, ended.out) == (0, "", "")  # nothing to do: no mail


def test_nothing_is_lost_when_the_quota_ends_two_nights_in_a_row(lab: Any) -> None:
    """A night on which not even the first submit is taken leaves everything queued, and says so in the same way."""
    command = ("run", lab.manifest(*PROMPTS[:2]), "-q")
    refusing = lab.emulator(trouble=[{"at": "submit", "do": "quota"}])
    for _ in range(2):
        ended = lab.run(*command)
        assert (ended.code, counts(ended.last)) == (4, (4, 2, 0, 0, 0, 2))
    assert refusing.bought().total() == 0
    refusing.stop()
    emulator = lab.emulator()
    assert lab.run(*command).code == 0
    assert emulator.bought() == dict.fromkeys(PROMPTS[:2], 1)


def test_the_batch_is_finished_some_night_when_each_has_its_deadline(lab: Any) -> None:
    """Every night but the last ends with exit 3 at its deadline, and each goes on where the one before ended."""
    emulator = lab.emulator(speed=60, spread=0)
    command = ("run", lab.manifest(*PROMPTS[:4], concurrency=2), "--max-runtime", "1s", "-q")
    codes = []
    while codes[-1:] != [0] and len(codes) < 12:
        ended = lab.run(*command)
        codes.append(ended.code)
        assert len(ended.out.splitlines()) == 1
        assert ended.code == 0 or "stopping: this run was given 1 s" in ended.err
    assert (codes[0], codes[-1], set(codes)) == (3, 0, {0, 3})
    assert emulator.bought() == dict.fromkeys(PROMPTS[:4], 1)
    check_results(lab, dict(list(JOBS.items())[:4]))
    check_folder(lab, 4)


def test_a_night_is_skipped_when_the_one_before_is_still_running(lab: Any) -> None:
    """One sentence and exit 75, and the long night is not disturbed; the night after finds nothing to do."""
    emulator = lab.emulator(speed=60)
    manifest = lab.manifest(*PROMPTS[:3], concurrency=2)
    long_night = lab.start("run", manifest, "--log-format", "json")
    assert long_night.wait_for(running)
    ended = lab.run("run", manifest, "-q")
    assert (ended.code, ended.out) == (75, "")
    stop_it = f"stop it with SIGTERM (kill {long_night.pid})"
    assert ended.err == f"pipeline: another run holds outputs/shots; wait for it, or {stop_it}\n"
    assert long_night.wait() == 0
    ended = lab.run("run", manifest, "-q")
    assert (ended.code, ended.err, ended.out) == (0, "", "")
    assert counts(lab.run("run", manifest).last) == (0, 3, 3, 0, 0, 0)
    assert emulator.bought() == dict.fromkeys(PROMPTS[:3], 1)

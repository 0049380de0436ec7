"""The live view, drawn for terminals of many sizes."""

from dataclasses import replace

import pytest

from pipeline.core.jobs import JobState
from pipeline.views.picture import STAGES, cost_text, last_picture, picture, plainly, words
from pipeline.views.purse import Money
from pipeline.views.standing import Finished, Reason, Running, Speed, Standing, Subject
from pipeline.views.text import cells

KIND = "Wan-AI/Wan2.2-I2V 480P"
MIDWAY = Standing(
    counts={
        JobState.DONE: 5,
        JobState.FETCHING: 1,
        JobState.RUNNING: 2,
        JobState.SUBMITTING: 1,
        JobState.QUEUED: 2,
        JobState.FAILED: 1,
        JobState.UNKNOWN: 0,
    },
    elapsed=65,
    eta=32.4,
    slots=3,
    slots_wanted=4,
    note="429: paused 12 s",
    subject=Subject("shots.yaml", "outputs/shots"),
    speed=Speed(5.54, 4.6, 2_345_678),
    money=(Money("CNY", spent=4_500_000, reserved=2_700_000, to_come=1_800_000, expected=9_000_000), Money("", jobs=3)),
    spent_before=(("CNY", 1_000_000),),
    running=(Running("wave-01", KIND, 61, 20.0), Running("dune", KIND, 18.2, 20.0), Running("sea", KIND, 1)),
    running_before=2,
    finished=(Finished("videos/b.mp4", 2_400_000, 31.0), Finished("videos/a.mp4", 51_000)),
    reasons=(Reason("moderation", "submit", 1, "boat", "the prompt is refused"),),
)
EIGHTY_BY_TWENTY_FOUR = """\
shots.yaml → outputs/shots
████████████████████████████▓▓▓▓▓▓▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒░░░░░░░░░░░!!!!!! 6/12  50 %
█ 5 done ▓ 1 downloading ▒ 3 running ░ 2 waiting ! 1 failed ? 0 unknown
time   1:05, about 32 s left; 5.5 jobs/min, 4.6 videos/min, 2.3 MB/s
slots  3 of 3 in use (of 4 asked for); 429: paused 12 s
cost   4.50 CNY spent, 2.70 reserved, 1.80 to come; 3 jobs of unknown price; 1…
slowest running; 2 more from an earlier run
   1:01  wave-01  3.0 × the usual  Wan-AI/Wan2.2-I2V 480P
   0:18  dune     Wan-AI/Wan2.2-I2V 480P
   0:01  sea      Wan-AI/Wan2.2-I2V 480P

last finished
   0:31    2.4 MB  videos/b.mp4
            51 kB  videos/a.mp4


failed or unknown in this run
!     1  moderation at submit, first boat: the prompt is refused
"""


def drawn(standing: Standing, width: int, height: int) -> list[str]:
    return [words(line).rstrip() for line in picture(standing, width, height)]


def large(total: int) -> Standing:
    """A batch of so many jobs with everything in it."""
    counts = dict.fromkeys(JobState, total // 20)
    running = tuple(Running(f"job-{number:06}", KIND, 500.0 - number, 60.0) for number in range(30))
    finished = tuple(Finished(f"videos/job-{number:06}.mp4", 10**6, 60.0) for number in range(30))
    reasons = tuple(Reason(f"code{number}", "generate", 100 - number, "first", "message " * 30) for number in range(30))
    counts[JobState.QUEUED] += total - sum(counts.values())
    return replace(MIDWAY, counts=counts, running=running, finished=finished, reasons=reasons, slots_wanted=500)


def test_everything_is_there_when_the_terminal_is_an_ordinary_one() -> None:
    """What, how far, how fast, on what slots and why not on more, for how much, and the jobs that matter."""
    assert drawn(MIDWAY, 79, 18) == EIGHTY_BY_TWENTY_FOUR.splitlines()


@pytest.mark.parametrize("total", [10, 100_000])
@pytest.mark.parametrize("width", [20, 40, 79, 119, 199])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 7, 9, 14, 18, 24, 37])
def test_the_view_fits_when_the_terminal_has_any_size(total: int, width: int, height: int) -> None:
    """No line is too wide and there are not too many of them; how far the batch is stands there at any size."""
    standing = large(total)
    lines = drawn(standing, width, height)
    assert 0 < len(lines) <= height
    assert all(cells(line) <= width for line in lines)
    if width >= 40:
        assert any(f"{standing.ended:,}/{total:,}" in line for line in lines)
    if width >= 40 and height >= 6:
        assert sum("in use" in line for line in lines) == 1


@pytest.mark.parametrize(("width", "height"), [(79, 7), (79, 18), (119, 22), (199, 37)])
def test_the_view_keeps_its_height_when_the_batch_goes_on(width: int, height: int) -> None:
    """A screen whose lines jump up and down is not calm: only a new reason for failures adds one."""
    full = replace(large(1000), reasons=())
    empty = replace(full, running=(), finished=(), eta=None, note="", counts={JobState.QUEUED: 1000}, speed=Speed())
    half = replace(full, running=full.running[:2], finished=full.finished[:1])
    assert len(drawn(empty, width, height)) == len(drawn(half, width, height)) == len(drawn(full, width, height))


def test_two_panels_stand_beside_each_other_when_the_terminal_is_wide() -> None:
    """Running tasks at the left, files at the right."""
    lines = drawn(MIDWAY, 199, 37)
    (heading,) = [line for line in lines if "slowest running" in line]
    assert "last finished" in heading
    assert any("wave-01" in line and "videos/b.mp4" in line for line in lines)


def test_what_matters_most_stays_when_the_terminal_is_low() -> None:
    """The bar and its legend first, then time and slots; panels go first."""
    assert [line.split()[0] for line in drawn(MIDWAY, 79, 4)[2:]] == ["time", "slots"]
    assert drawn(MIDWAY, 79, 2) == drawn(MIDWAY, 79, 4)[:2]
    assert not any("last finished" in line for line in drawn(MIDWAY, 79, 7))


def test_every_stage_is_seen_when_it_is_a_thousandth_of_the_batch() -> None:
    """One failure in a hundred thousand jobs has a cell of the bar, and the bar keeps its length."""
    counts = {JobState.DONE: 60_000, JobState.FAILED: 1, JobState.UNKNOWN: 1, JobState.RUNNING: 500}
    counts[JobState.QUEUED] = 100_000 - sum(counts.values())
    bar = drawn(replace(MIDWAY, counts=counts), 79, 2)[0]
    assert [bar.count(stage.glyph) for stage in STAGES[3:]] == [22, 1, 1]
    assert bar.count("▒") == 1
    assert cells(bar) == 79
    assert bar.endswith(" 60,002/100,000  60 %")


def test_stages_are_told_apart_when_there_is_no_colour() -> None:
    """Each has a character of its own, also in ASCII, and colours are never the only difference."""
    assert len({stage.glyph for stage in STAGES}) == len({stage.ascii for stage in STAGES}) == len(STAGES)
    (bar,) = plainly(picture(MIDWAY, 79, 1))
    assert [words(bar).count(stage.ascii) for stage in STAGES[:5]] == [28, 6, 17, 11, 6]


def test_the_view_is_ascii_when_the_terminal_knows_no_more() -> None:
    """What has no counterpart becomes a question mark, and no line grows."""
    standing = replace(MIDWAY, finished=(Finished("videos/视频.mp4", 1000),))
    lines = [words(line) for line in plainly(picture(standing, 79, 18))]
    assert all(line.isascii() and len(line) <= 79 for line in lines)
    assert any(line.endswith("videos/??.mp4") for line in lines)


@pytest.mark.parametrize(
    "name",
    ["\x1b[2J\x1b[H", "a\nb", "\u202egnp", "视频" * 60, "🚀👩\u200d🚀" * 30, "e\u0301" * 90, "\x9b31m", "x" * 500],
)
def test_the_view_is_not_torn_when_a_name_is_hostile(name: str) -> None:
    """Whatever stands in a file name or a message, it steers no terminal, breaks no line and makes none too wide."""
    standing = replace(
        MIDWAY,
        subject=Subject(name, name),
        note=name,
        running=(Running(name, name, 1.0),),
        finished=(Finished(name, 1),),
        reasons=(Reason(name, "submit", 1, name, name),),
    )
    for width in (30, 79, 199):
        for line in picture(standing, width, 30):
            assert cells(words(line)) <= width
            assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in words(line))
            assert not {"\u202e", "\u2028", "\u2029"} & set(words(line))


def test_nothing_is_paid_when_it_is_a_rehearsal() -> None:
    """The view says so twice, and what it would cost live; an unknown price stays unknown."""
    standing = replace(MIDWAY, subject=Subject("shots.yaml", "outputs/shots-rehearsal", rehearsal=True))
    lines = drawn(standing, 119, 18)
    assert lines[0].endswith("a rehearsal")
    cost = "cost   nothing, this is a rehearsal; live, it would be 9.00 CNY and 3 jobs of unknown price"
    assert cost in lines


def test_money_of_before_is_told_when_there_is_room() -> None:
    """What this run spends comes first, then what the folder had come to."""
    (cost,) = [line for line in drawn(MIDWAY, 119, 18) if line.startswith("cost")]
    assert cost == (
        "cost   4.50 CNY spent, 2.70 reserved, 1.80 to come; 3 jobs of unknown price; 1.00 CNY before this run"
    )


@pytest.mark.parametrize(
    ("doubted", "said"),
    [
        (0, "2.70 reserved,"),
        (900_000, "2.70 reserved (0.90 for unknown jobs),"),
        (2_700_000, "2.70 reserved for unknown jobs,"),
    ],
)
def test_money_for_unknown_jobs_is_told_apart_from_what_runs(doubted: int, said: str) -> None:
    """Where nothing runs, nothing is reserved for it."""
    money = Money("CNY", spent=1, reserved=2_700_000, doubted=doubted)
    assert f" spent, {said} 0.00 to come" in cost_text(replace(MIDWAY, money=(money,)))


def test_other_reasons_are_counted_when_there_is_no_room_for_all() -> None:
    """The heading says how many jobs failed for reasons that are not shown."""
    standing = replace(large(1000), reasons=large(1000).reasons[:8])
    assert "failed or unknown in this run; 282 jobs more for 3 other reasons" in drawn(standing, 79, 37)


def test_two_lines_stay_when_a_run_is_over() -> None:
    """The bar with the time that it took, and the stages in which there is a job."""
    ended = replace(MIDWAY, counts={JobState.DONE: 11, JobState.FAILED: 1})
    assert [words(line) for line in last_picture(ended, 79)] == [
        f"{'█' * 59}{'!' * 5} 12/12  in 1:05",
        "█ 11 done  ! 1 failed",
    ]

"""The process dies at every named place, and the same command again finishes the batch without paying twice."""

from pathlib import Path
from typing import Any

import pytest

from tests.process.aftermath import FOLDER, finish
from tests.process.crashing import POINTS, VARIABLE
from tests.process.double import Double, honest, make_video

PROMPTS = tuple(f"wave {number}" for number in range(5))
PAID_WHEN_LOST = {"intent-durable": 0, "body-sent": 1, "answer-received": 1}
"""Where only the service knows whether a task exists, and how many it then has."""
ROOT = Path(__file__).parents[2]
ONCE = {"enrolled", "closing", "closed"}


@pytest.mark.parametrize("point", [point for point in POINTS if point not in PAID_WHEN_LOST])
def test_the_same_command_finishes_the_batch_when_the_process_died(lab: Any, point: str) -> None:
    """Whatever a crash at a named place leaves behind, nothing is lost, written twice, or paid twice."""
    with Double(honest(make_video(20_000))) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        command = ("run", lab.manifest(*PROMPTS, concurrency=2))
        lab.crash(f"{point}:{1 if point in ONCE else 3}", *command)
        finish(lab, command, PROMPTS, double.bought)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("point", "paid"), PAID_WHEN_LOST.items())
def test_a_job_waits_for_a_decision_when_its_answer_died_with_the_process(
    lab: Any, point: str, paid: int, count: int
) -> None:
    """Only the job whose paid request was under way is unknown, and it is bought again only when somebody says so."""
    emulator = lab.emulator()
    command = ("run", lab.manifest(*PROMPTS, concurrency=1))
    lab.crash(f"{point}:{count}", *command)
    lost = PROMPTS[count - 1]
    assert finish(lab, command, PROMPTS, emulator.bought) == {lost.replace(" ", "-")}
    assert emulator.bought()[lost] == paid + 1


def test_a_video_goes_on_at_the_same_byte_when_the_process_died_in_the_middle(lab: Any) -> None:
    """What a killed run has downloaded is not downloaded again, and the joined file is the host's."""
    video = make_video(6_000_000)  # a block may be nearly two megabytes: uvloop brings much at once
    with Double(honest(video)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        command = ("run", lab.manifest("wave"))
        lab.crash("part-written:2", *command)
        finish(lab, command, ["wave"], double.bought)
        kept = int(double.gets[-1]["Range"].removeprefix("bytes=").removesuffix("-"))
    assert kept >= 1 << 20
    assert (lab.path / FOLDER / "videos/wave.mp4").read_bytes() == video


def test_the_product_goes_on_when_the_variable_is_set(lab: Any) -> None:
    """The crash points are the test build's alone: the command itself never looks at the variable."""
    emulator = lab.emulator()
    command = ("run", lab.manifest("wave"), "--log-format", "json")
    lab.environment[VARIABLE] = "intent-durable:1"
    assert lab.run(*command).code == 0
    assert emulator.bought() == {"wave": 1}
    sources = (ROOT / "pipeline").rglob("*.py")
    assert not [source for source in sources if "crash_at" in source.read_text().lower()]

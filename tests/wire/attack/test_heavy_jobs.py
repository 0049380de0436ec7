"""Jobs that are heavy: pictures written into a manifest must not be held in memory by the hundred."""

from pathlib import Path

from pipeline.core.jobs import Job, Source, Task
from pipeline.ledger import Ledger

PICTURE = f"data:image/png;base64,{'A' * 9_000_000}"


def heavy(number: int) -> Job:
    source = Source("shots.yaml", number)
    return Job(f"j{number}", f"{number:064}", "Wan-AI/Wan2.2-I2V", {"image_url": PICTURE}, {}, f"{number}.mp4", source)


async def test_a_page_of_jobs_ends_early_when_they_are_heavy(tmp_path: Path) -> None:
    """A page holds at least one job and few megabytes, and page after page brings every job."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll([heavy(number) for number in range(5)], on_changed="error", at=1.0)
        sizes, cursor = [], 0
        while page := await ledger.queued(select=None, after=cursor, limit=100):
            sizes.append(len(page))
            cursor = page[-1][0]
        assert sizes == [2, 2, 1]
        for number in range(3):
            await ledger.intent(f"j{number}", base_url="https://a.example", body_digest="d", at=2.0)
            await ledger.accepted(f"j{number}", Task(f"t{number}", "https://a.example"), at=3.0)
        assert len(await ledger.unfinished(after=0, limit=100)) == 2

"""Draws `live-view.svg`: the live view of a real rehearsal of `configs/demo.yaml`, caught when most stages have jobs.

python docs/images/live_view.py
"""

import asyncio
import io
import re
import tempfile
import time
from pathlib import Path

from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.text import Text

from pipeline.api import Run, examine
from pipeline.manifest import open_manifest
from pipeline.settings import settings_for
from pipeline.views.picture import STAGES, picture
from pipeline.views.progress import LIVE_EVERY
from pipeline.views.standing import Standing, Subject
from pipeline.views.tally import Tally

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = "configs/demo.yaml"
WIDTH, HEIGHT = 112, 20
SPEED = 4.0
"""Times faster than life: slow enough that making the clips is not what takes the time."""


async def rehearse() -> Standing:
    """Rehearse the demo to its end. Returns the standing in which there is most to see."""
    subject = Subject(MANIFEST, "outputs/demo-rehearsal", rehearsal=True, speed=SPEED, downloads=2)
    tally = Tally(time.monotonic, subject)
    seen: list[Standing] = []

    async def look() -> None:
        while True:
            await asyncio.sleep(LIVE_EVERY)
            seen.append(tally.standing())

    with tempfile.TemporaryDirectory() as place, open_manifest(ROOT / MANIFEST) as manifest:
        folder = Path(place) / "demo-rehearsal"
        settings = settings_for(manifest.run, manifest.file, {})
        facts = {"examined": examine(manifest, folder), "settings": settings, "listener": tally.hear}
        async with Run(manifest, folder, rehearse=True, speed=SPEED, **facts) as run:
            looking = asyncio.create_task(look())
            await run.summary()
            looking.cancel()
    return max(seen, key=worth)


def worth(standing: Standing) -> tuple[int, int]:
    """How much there is to see."""
    stages = sum(any(standing.counts[state] for state in stage.states) for stage in STAGES)
    return stages, min(4, len(standing.running)) + min(4, len(standing.finished))


def drawn(standing: Standing) -> str:
    """The standing as SVG, without the fonts that rich would fetch from elsewhere."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in picture(standing, WIDTH - 1, HEIGHT):
        console.print(Text.assemble(*line), no_wrap=True)
    plain = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    title = f"pipeline run {MANIFEST} --rehearse"
    return console.export_svg(title=title, code_format=plain, unique_id="live-view")


if __name__ == "__main__":
    found = asyncio.run(rehearse())
    Path(__file__).with_name("live-view.svg").write_text(drawn(found), encoding="utf-8")

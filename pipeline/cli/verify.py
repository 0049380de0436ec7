"""`pipeline verify`: compare every video with its record."""

from collections import Counter
from typing import TYPE_CHECKING

import click

from pipeline.cli.shell import folder_argument, verbose_option
from pipeline.cli.words import print_all
from pipeline.views.text import many, printable

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.verification import Comparison


@click.command("verify")
@folder_argument
@verbose_option
def command(folder: "Path") -> int:
    """Compare every video of the batch in DIR with its record: length and SHA-256. Exit 1 where any differs.

    What differs is fetched again by the next run, without paying, while the service still has it. What was to be
    fetched again and is whole on the disk is done again. A file that cannot be read is no difference, and changes
    nothing: exit 3.

    \b
    Example:
      pipeline verify outputs/shots
    """
    import asyncio

    from pipeline.verification import compare

    async def compared() -> Counter[str]:
        counts: Counter[str] = Counter()
        async for found in compare(folder):
            counts["files"] += 1
            counts["wrong"] += found.verdict is not None
            counts["unread"] += found.unread is not None
            line = _line(found)
            if line:
                print_all([f"{printable(found.file.path)}: job {found.job_id}: {line}"])
        return counts

    counts = asyncio.run(compared())
    unread = f", {counts['unread']:,} could not be read" if counts["unread"] else ""
    print_all(
        [f"{folder}: {many(counts['files'], 'file')} checked, {counts['wrong']:,} differ from the record{unread}"]
    )
    if counts["unread"]:
        return 3
    return 1 if counts["wrong"] else 0


def _line(found: "Comparison") -> str | None:
    """What is to be said of one video; None where it is as it was left."""
    if found.unread:
        return f"{found.unread}; not compared"
    if found.verdict:
        return f"{found.verdict}; " + (
            "the next run fetches it again" if found.fetched_again else "not noted: the folder is in use"
        )
    return "is whole; done again" if found.done_again else None

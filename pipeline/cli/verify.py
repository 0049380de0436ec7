"""`pipeline verify`: compare every video with its record."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.shell import folder_argument, print_all, verbose_option
from pipeline.views.text import many, printable

if TYPE_CHECKING:
    from pathlib import Path


@click.command("verify")
@folder_argument
@verbose_option
def command(folder: "Path") -> int:
    """Compare every video of the batch in DIR with its record: length and SHA-256. Exit 1 where any differs.

    What differs is fetched again by the next run, without paying, while the service still has it.

    \b
    Example:
      pipeline verify outputs/shots
    """
    import asyncio

    from pipeline.verification import compare

    async def differing() -> tuple[int, int]:
        files = wrong = 0
        async for found in compare(folder):
            files += 1
            if found.verdict:
                wrong += 1
                next_step = (
                    "the next run fetches it again" if found.fetched_again else "not noted: the folder is in use"
                )
                print_all([f"{printable(found.file.path)}: job {found.job_id}: {found.verdict}; {next_step}"])
        return files, wrong

    files, wrong = asyncio.run(differing())
    print_all([f"{folder}: {many(files, 'file')} checked, {wrong:,} differ from the record"])
    return 1 if wrong else 0

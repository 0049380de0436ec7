"""`pipeline watch`: serve the report of a batch live on this machine."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.shell import PORT, folder_argument, verbose_option
from pipeline.cli.words import print_all
from pipeline.views.text import printable

if TYPE_CHECKING:
    from pathlib import Path


@click.command("watch")
@folder_argument
@click.option("--port", type=PORT, default=0, metavar="N", help="Any free one by default.")
@verbose_option
def command(folder: "Path", port: int) -> None:
    """Serve the report of the batch in DIR live, on 127.0.0.1 alone, until SIGINT or SIGTERM. It reads and never
    writes, and may be started before the run and left on after it.

    \b
    Examples:
      pipeline watch outputs/shots
      pipeline watch outputs/shots --port 8800
    """
    import asyncio

    from pipeline.foreground import until_signalled
    from pipeline.ledger import LEDGER_NAME
    from pipeline.ledger.schema import batch_beside
    from pipeline.views.watch import Watch

    async def serve() -> None:
        async with Watch(folder, port=port) as watching:
            waiting = "" if (folder / LEDGER_NAME).exists() else f" (no batch there yet{batch_beside(folder)})"
            print_all([f"watching {printable(str(folder))}{waiting}: {watching.url}"])
            await until_signalled()

    asyncio.run(serve())

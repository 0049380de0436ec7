"""`pipeline emulator`: rehearse the service on this machine."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.shell import PATH, PORT, verbose_option
from pipeline.cli.words import print_all

if TYPE_CHECKING:
    from pathlib import Path


@click.command("emulator")
@click.option("--port", type=PORT, default=0, metavar="N", help="Of the API; any free one by default.")
@click.option("--results-port", type=PORT, default=0, metavar="N", help="Of the result files; any free one by default.")
@click.option("--scenario", type=PATH, metavar="FILE", help="The trouble to play (YAML), see configs/scenarios.")
@click.option("--speed", type=float, default=1.0, metavar="X", help="How many times faster than life (1).")
@click.option("--folder", type=PATH, metavar="DIR", help="Keep tasks and ports there, over restarts.")
@verbose_option
def command(port: int, results_port: int, scenario: "Path | None", speed: float, folder: "Path | None") -> None:
    """Rehearse the service on this machine until SIGINT or SIGTERM; then say what happened.

    \b
    Examples:
      pipeline emulator --speed 20
      pipeline emulator --port 8080 --scenario configs/scenarios/busy-account.yaml
    """
    import asyncio
    from dataclasses import asdict

    from pipeline.emulator import Emulator, Scenario
    from pipeline.foreground import until_signalled
    from pipeline.views.farewell import farewell

    async def serve() -> None:
        played = Scenario.load(scenario) if scenario else Scenario()
        service = Emulator(played, port=port, results_port=results_port, speed=speed, folder=folder)
        async with service:
            print_all(
                [
                    f"the emulator listens, at {speed:g} times the speed of life; in another shell:",
                    f"export MODELVERSE_ENDPOINT={service.base_url}",
                    "export MODELVERSE_API_KEY=rehearsal",
                ]
            )
            await until_signalled()
            seen = asdict(service.statistics())
        print_all([farewell(seen)])

    asyncio.run(serve())

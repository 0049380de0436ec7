"""`pipeline resolve`: decide about a submit with an unknown outcome."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.conducting import manifest_here
from pipeline.cli.shell import folder_argument, verbose_option
from pipeline.cli.words import print_all, program
from pipeline.views.text import shell_word

if TYPE_CHECKING:
    from pathlib import Path


@click.command("resolve")
@folder_argument
@click.argument("job_id", metavar="JOB")
@click.option("--task-id", metavar="ID", help="This task exists at the service: collect it. Nothing is paid again.")
@click.option("--resubmit", is_flag=True, help="Buy another attempt; if the lost one exists, it was paid for as well.")
@click.option("--write-off", is_flag=True, help="Count the job as failed.")
@verbose_option
def command(folder: "Path", job_id: str, task_id: str | None, resubmit: bool, write_off: bool) -> None:
    """Decide about JOB of the batch in DIR, whose submit has an unknown outcome.

    \b
    Examples:
      pipeline resolve outputs/shots wave-01 --task-id 9f1c0d2e7b3a4c55a0b1c2d3e4f50617
      pipeline resolve outputs/shots wave-01 --resubmit
      pipeline resolve outputs/shots wave-01 --write-off
    """
    import asyncio

    from pipeline.decide import Decision, checked_task_id, decide
    from pipeline.folder import is_rehearsal

    if (task_id is not None) + resubmit + write_off != 1:
        raise click.UsageError("say exactly one of --task-id ID, --resubmit and --write-off")
    decision = Decision.RESUBMIT if resubmit else Decision.WRITE_OFF if write_off else Decision.ADOPT
    task_id = checked_task_id(task_id) if task_id is not None else None
    job = asyncio.run(decide(folder, job_id, decision, task_id))
    now = {
        Decision.ADOPT: f"has task {task_id} now; the next run asks about it",
        Decision.RESUBMIT: "is queued; the next run buys another attempt",
        Decision.WRITE_OFF: "is failed; only --retry-failed would buy it again",
    }
    print_all([f"{job_id} {now[decision]}"])
    if decision is not Decision.WRITE_OFF:
        manifest = manifest_here(job.source.file)
        command = f"{program()} run {shell_word(manifest or 'MANIFEST')} -o {shell_word(str(folder))}"
        command += " --rehearse" if is_rehearsal(folder) else ""
        command += " < MANIFEST" if manifest == "-" else ""
        print_all([f"  to go on, with the other options of the run as before: {command}"])

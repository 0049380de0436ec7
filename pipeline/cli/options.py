"""The settings that have a flag: those that a plan takes as well, and those of a run alone."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pipeline.cli.shell import catalog_option

Command = TypeVar("Command", bound=Callable[..., Any])


def _number_or_word(value: str) -> int | str:
    """A number where it is one; what a word means, the setting says."""
    try:
        return int(value)
    except ValueError:
        return value


_SETTINGS = (
    click.option(
        "--concurrency",
        type=_number_or_word,
        metavar="N|auto",
        help="Remote tasks at the same time (slots); auto finds their number.",
    ),
    click.option(
        "--order",
        type=click.Choice(["auto", "manifest", "longest-first"]),
        help="Which jobs go first; auto: the longest class, in a batch that is small against the slots.",
    ),
    click.option("--pollers", type=int, metavar="N", help="Status questions at the same time."),
    click.option("--downloads", type=int, metavar="N", help="Downloads at the same time."),
    click.option("--max-runtime", metavar="TIME", help="Stop after this long, such as 90m or 5h; run again to go on."),
    click.option("--limit", type=int, metavar="N", help="Submit at most N jobs in this run."),
    click.option("--select", metavar="GLOB", help="Submit only jobs whose id matches, such as 'wave-*'."),
    click.option("--budget", metavar="AMOUNT", help="Money that this folder may cost in all, in the worst case."),
    click.option("--max-jobs", type=int, metavar="N", help="Paid tasks of this folder in all."),
    click.option("--max-seconds", metavar="TIME", help="Seconds of video of this folder in all."),
    click.option(
        "--allow-unpriced",
        is_flag=True,
        default=None,
        help="Under --budget or --max-seconds, buy also what has no known price or length.",
    ),
    click.option("--retry-failed", is_flag=True, default=None, help="Buy another attempt for jobs that failed."),
    click.option(
        "--resubmit-unknown",
        is_flag=True,
        default=None,
        help="Buy another attempt for jobs with an unknown outcome; some may be paid twice.",
    ),
    click.option(
        "--on-changed",
        type=click.Choice(["error", "keep", "rerun"]),
        help="Rows that changed since they were enrolled: refuse the manifest, keep the old job, or buy it anew.",
    ),
    catalog_option,
    click.option(
        "--allow-unknown-fields", is_flag=True, default=None, help="Send fields that the catalog does not know."
    ),
    click.option("--endpoint", metavar="URL", help="Base URL of the service."),
    click.option(
        "--progress",
        type=click.Choice(["auto", "rich", "plain", "none"]),
        help="auto: rich on a terminal, else plain; beside a JSON log, none.",
    ),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="json: one object a line on stderr."),
)


def settings_options(command: Command) -> Command:
    """The settings that have a flag; one that is not given leaves the word to the other places."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


_BESIDE = (
    click.option(
        "--report/--no-report", default=None, help="Write report.html at the end (yes, where the run did something)."
    ),
    click.option("--sidecar", is_flag=True, default=None, help="Write a JSON file beside each video."),
    click.option("--metrics-file", metavar="FILE", help="Keep Prometheus metrics of the run in FILE."),
    click.option("--on-job", metavar="COMMAND", help="Run a shell command for every job that ends."),
    click.option("--on-finish", metavar="COMMAND", help="Run a shell command at the end of the run."),
    click.option("--wait-lock", metavar="TIME", help="Wait so long for another run that holds the folder."),
)
"""What a run does beside its videos."""


def run_options(command: Command) -> Command:
    """The settings' flags that only a run has."""
    for option in reversed(_BESIDE):
        command = option(command)
    return command

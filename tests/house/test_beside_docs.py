"""The pages about what happens beside a run name every variable, key and metric that exists, and none that does not."""

import json
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli.grammar import cli
from pipeline.core.jobs import JobState, StoredFile
from pipeline.ledger import Ledger, LedgerReader
from pipeline.settings import NAMES, Layer, build_settings, config_file_layer
from pipeline.views import hooks, metrics, notify
from pipeline.views.facts import run_facts
from pipeline.views.hooks import PREFIX, job_variables, run_variables
from pipeline.views.sidecar import sidecar_text
from tests.unit.ends import about, done
from tests.unit.views.test_facts import END, STOP
from tests.unit.views.test_hooks import LINE

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    name: (DOCS / f"{name}.md").read_text(encoding="utf-8")
    for name in ("hooks", "metrics", "notifications", "provenance")
}
SHELL = [
    line
    for page in PAGES.values()
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("pipeline run ")
]


def keys(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all keys of a JSON value, those inside lists once."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield f"{path}.{key}"
            yield from keys(one, f"{path}.{key}")
    elif isinstance(value, list) and value:
        yield from keys(value[0], f"{path}[]")


def example(page: str) -> Any:
    """The JSON that a page shows."""
    (block,) = re.findall(r"```json\n(.*?)```", PAGES[page], re.DOTALL)
    return json.loads(block)


def test_every_variable_is_explained_when_a_command_finds_it() -> None:
    """With the hook that has it; and no variable is explained that is not there."""
    made = {"on_job": job_variables(about(Path("/srv")), LINE), "on_finish": run_variables(END)}
    rows = re.findall(r"^\| `VIDEO_BATCH_(\w+)` \| (✓?) ?\| (✓?) ?\|", PAGES["hooks"], re.MULTILINE)
    assert {name for name, job, _ in rows if job} == set(made["on_job"])
    assert {name for name, _, end in rows if end} == set(made["on_finish"])
    assert set(re.findall(rf"{PREFIX}(\w+)", PAGES["hooks"])) <= {name for name, _, _ in rows}


def test_every_metric_is_explained_when_it_is_written() -> None:
    """In one row of the table by the name of its samples; and none is explained that is not there."""
    rows = re.findall(r"^\| `(pipeline_\w+)` \| (\w+)", PAGES["metrics"], re.MULTILINE)
    wanted = dict.fromkeys(metrics.GAUGES, "gauge") | dict.fromkeys(metrics.HISTOGRAMS, "histogram")
    wanted |= {f"{name}_total": "counter" for name in metrics.COUNTERS} | {
        f"{name}_info": "gauge" for name in metrics.INFOS
    }
    assert dict(rows) == wanted
    assert len(rows) == len(wanted)
    assert set(re.findall(r"pipeline_\w+", PAGES["metrics"])) <= set(wanted)
    for word in (*metrics.STAGES, *JobState, "actual", "estimated", "reserved", metrics.OTHER):
        assert f"`{word}`" in PAGES["metrics"]


def test_the_alerts_are_well_formed_when_they_are_copied() -> None:
    """YAML with a name and an expression each."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGES["metrics"], re.DOTALL)
    for group in yaml.safe_load(block)["groups"]:
        assert all(set(rule) == {"alert", "expr"} for rule in group["rules"])


def test_the_facts_of_a_run_are_explained_when_others_are_told() -> None:
    """The example has every key, in its order, and the table names it; the page of hooks leads there."""
    facts = run_facts(replace(END, stops=(STOP,)))
    made = list(keys(json.loads(json.dumps(facts))))
    assert list(keys(example("notifications"))) == made
    for path in made:
        name = re.split(r"[.\]]", path)[-1]
        if name not in set(JobState):  # the states are everybody's words
            assert f"`{name}`" in PAGES["notifications"], name
    assert "(notifications.md)" in PAGES["hooks"]


async def test_every_key_of_a_sidecar_is_explained_when_it_is_written(tmp_path: Path) -> None:
    """The example has every key, in its order, and the table names it."""
    async with await Ledger.open(tmp_path, run_id="r", at=time.time()) as ledger:
        event = await done(ledger, tmp_path, "wave")
    assert event.outcome
    file: StoredFile = event.outcome.files[0]
    with LedgerReader(tmp_path) as reader:
        story = reader.story("wave")
    assert story
    free = (".request.input.", ".request.parameters.", ".task.usage.", ".metadata.")  # the author's and the service's
    made = [path for path in keys(json.loads(sidecar_text(story, file))) if not path.startswith(free)]
    assert [path for path in keys(example("provenance")) if not path.startswith(free)] == made
    for path in made:
        name = re.split(r"[.\]]", path)[-1]
        assert f"`{name}`" in PAGES["provenance"], name


def test_the_settings_are_accepted_when_the_example_is_copied(tmp_path: Path) -> None:
    """The page's `notify:` is one, with every reason explained."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGES["notifications"], re.DOTALL)
    (tmp_path / "settings.yaml").write_text(block)
    told = build_settings(config_file_layer(tmp_path / "settings.yaml")).notify
    assert told is not None
    assert set(told.on) < set(notify.Notify().on)
    assert all(f"| `{reason}` |" in PAGES["notifications"] for reason in notify.Notify().on)


CHANNELS = re.findall(r"`(\w+://[A-Za-z:@?=./_]+)`", PAGES["notifications"].partition("## Channels")[2])


@pytest.mark.parametrize("address", CHANNELS)
def test_apprise_knows_a_channel_when_the_page_names_it(address: str) -> None:
    """With a token of the usual form in the place of its name."""
    tokens = {
        "TOKEN_A": "T1JJ3T3L2",
        "TOKEN_B": "A1BRTD4JD",
        "TOKEN_C": "TIiajkdnlazkcOXrIdevi7FQ",
        "SECRET": "SEC" + "a" * 64,
    }
    for name, token in (tokens | {"TOKEN": "a" * 64, "KEY": "0123abcd-0123-0123-0123-0123456789ab"}).items():
        address = re.sub(rf"\b{name}\b", token, address)
    notify.check_channels(notify.Notify(apprise=(address,)))


def test_all_the_channels_are_looked_at_when_the_page_is_tested() -> None:
    """The table's addresses are found."""
    assert len(CHANNELS) >= 7


@pytest.mark.parametrize("line", SHELL)
def test_a_command_is_accepted_when_a_page_shows_it(line: str) -> None:
    """Its options exist, and their values are settings."""
    given = cli.commands["run"].make_context("run", shlex.split(line, comments=True)[2:]).params
    build_settings(
        Layer("flags", {name: value for name, value in given.items() if name in NAMES and value is not None})
    )


def test_the_figures_are_the_codes_when_a_page_names_them() -> None:
    """Seconds and numbers are those of the code."""
    assert f"every {metrics.EVERY:g} s" in PAGES["metrics"]
    assert metrics.MOST_REASONS == 30
    assert f"after {notify.WEBHOOK_SECONDS:g} s it is given up" in PAGES["notifications"]
    assert f"after {notify.APPRISE_SECONDS:g} s those" in PAGES["notifications"]
    assert (hooks.AT_ONCE, "Four commands run at a time" in PAGES["hooks"]) == (4, True)
    assert f"`hook_timeout` ({build_settings().hook_timeout:g} s)" in PAGES["hooks"]

"""Prometheus metrics of a run, read as Prometheus reads them."""

import os
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_fd_to_metric_families, text_string_to_metric_families

from pipeline.core.events import (
    BatchStarted,
    CallFailed,
    ExtraFailed,
    JobMoved,
    SlotsChanged,
    SubmittingPaused,
    SubmittingResumed,
)
from pipeline.core.jobs import Failure, JobState, Stage
from pipeline.ledger import Ledger, LedgerReader
from pipeline.views.metrics import (
    BUCKETS,
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    INFOS,
    MOST_REASONS,
    OTHER,
    Heard,
    Histogram,
    LastRun,
    MetricsError,
    MetricsFile,
    Now,
    stage_seconds,
)
from tests.unit.ends import about, done, failed, lost, make_job, submitted

NOW = Now(1000.0, Heard(), 2, LastRun(), in_progress=True)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Of the folder `tmp_path`."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as opened:
        yield opened


def metrics_of(folder: Path, after: int = 0) -> MetricsFile:
    return MetricsFile(folder / "m.prom", about(folder), started_at=900.0, after=after)


def read(folder: Path) -> Samples:
    """Every sample by its name and labels, the folder's aside."""
    found: Samples = {}
    for family in text_string_to_metric_families((folder / "m.prom").read_text()):
        for sample in family.samples:
            assert sample.labels.pop("folder") == str(folder), sample
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def labelled(samples: Samples, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a name by the values of their labels, in the labels' order."""
    return {tuple(value for _, value in labels): value for (found, labels), value in samples.items() if found == name}


async def test_the_folder_is_counted_when_the_file_is_written(ledger: Ledger, tmp_path: Path) -> None:
    """Jobs by state, failures by stage and code, money by basis: as the ledger has them."""
    await done(ledger, tmp_path, "a")
    await failed(ledger, "b")
    await lost(ledger, "c")
    await submitted(ledger, "d")
    metrics_of(tmp_path).write(NOW)
    found = read(tmp_path)
    jobs = labelled(found, "pipeline_jobs")
    assert len(jobs) == len(JobState)
    assert {state for (state,), number in jobs.items() if number == 1} == {"done", "failed", "unknown", "running"}
    assert labelled(found, "pipeline_failed_jobs") == {("moderation", "generate"): 1}
    assert labelled(found, "pipeline_spend") == {
        ("actual", "CNY"): 0.75,
        ("estimated", "CNY"): 0.9,
        ("reserved", "CNY"): 3.6,
    }
    assert labelled(found, "pipeline_paid_tasks") == {("CNY",): 4}
    (info,) = labelled(found, "pipeline_run_info").items()
    assert info[1] == 1
    assert {"20261122T020000Z-3f2a", "/srv/shots.yaml", "false"} < set(info[0])


async def test_each_stage_has_its_seconds_when_jobs_are_done(ledger: Ledger, tmp_path: Path) -> None:
    """Two to submit, sixty by the service's clock, one until we noticed, four to download; failed jobs have none."""
    await done(ledger, tmp_path, "a")
    await failed(ledger, "b")
    metrics_of(tmp_path).write(NOW)
    found = read(tmp_path)
    sums = labelled(found, "pipeline_stage_seconds_sum")
    assert sums == {("submit",): 2, ("generate",): 60, ("notice",): 1, ("download",): 4, ("whole",): 68}
    assert set(labelled(found, "pipeline_stage_seconds_count").values()) == {1}
    assert found["pipeline_downloaded_bytes_total", ()] == 20


async def test_a_job_is_counted_once_when_the_file_is_written_often(ledger: Ledger, tmp_path: Path) -> None:
    """Only what ended after the run began, and each end once."""
    await done(ledger, tmp_path, "before")
    file = metrics_of(tmp_path, after=1)
    for name in ("a", "b"):
        await done(ledger, tmp_path, name)
        file.write(NOW)
        file.write(NOW)
    assert labelled(read(tmp_path), "pipeline_stage_seconds_count")["whole",] == 2


async def test_clocks_may_disagree_when_stages_are_measured(ledger: Ledger, tmp_path: Path) -> None:
    """A task that ended after we noticed it has no lag, and the rest of its stages."""
    await done(ledger, tmp_path, "a")
    with LedgerReader(tmp_path) as reader:
        story = reader.story("a")
    assert story is not None
    stages = dict(stage_seconds(replace(story, noticed_at=150.0)))
    assert set(stages) == {"submit", "generate", "download", "whole"}
    report = replace(story.record.report, finish_time=None)  # type: ignore[type-var] # it is there
    stages = dict(stage_seconds(replace(story, record=replace(story.record, report=report))))
    assert stages["generate"] == 62
    assert "notice" not in stages


async def test_events_are_counted_when_no_ledger_keeps_them(ledger: Ledger, tmp_path: Path) -> None:
    """Submits, refused and broken calls, slots, pauses, and what failed beside the run."""
    heard = Heard()
    heard.hear(BatchStarted(1.0, {}, 3, 10))
    heard.hear(JobMoved(1.0, make_job("a"), JobState.SUBMITTING, 1))
    heard.hear(CallFailed(1.0, "submit", "a", "rate_limit", "slow down", 2.0))
    heard.hear(CallFailed(1.0, "submit", "b", "rate_limit", "slow down", 2.0))
    heard.hear(ExtraFailed(1.0, "on_job", "exit code 3"))
    heard.hear(SlotsChanged(1.0, 4))
    heard.hear(SubmittingPaused(1.0, "disk"))
    metrics_of(tmp_path).write(replace(NOW, heard=heard.copy()))
    found = read(tmp_path)
    assert found["pipeline_submits_total", ()] == 1
    assert labelled(found, "pipeline_call_failures_total") == {("submit", "rate_limit"): 2}
    assert labelled(found, "pipeline_extra_failures_total") == {("on_job",): 1}
    assert [found[f"pipeline_slots_{which}", ()] for which in ("allowed", "used")] == [4, 2]
    assert found["pipeline_submitting_paused", ()] == 1
    heard.hear(SubmittingResumed(1.0))
    metrics_of(tmp_path).write(replace(NOW, heard=heard))
    assert read(tmp_path)["pipeline_submitting_paused", ()] == 0


async def test_reasons_stay_few_when_a_service_invents_them(ledger: Ledger, tmp_path: Path) -> None:
    """Beyond a number, codes are counted together; a hostile one is cut and harmless."""
    heard = Heard()
    for number in range(3 * MOST_REASONS):
        name = f"code-{number} \x1b\n{'x' * 500}"
        heard.hear(CallFailed(1.0, "status", "a", name, "m", 1.0))
        await failed(ledger, f"j{number}", Failure(Stage.GENERATE, name, "m"))
    metrics_of(tmp_path).write(replace(NOW, heard=heard))
    found = read(tmp_path)
    for metric in ("pipeline_call_failures_total", "pipeline_failed_jobs"):
        counts = labelled(found, metric)
        assert len(counts) == MOST_REASONS + 1
        assert sum(counts.values()) == 3 * MOST_REASONS
        assert any(OTHER in labels for labels in counts)
        assert all(len(value) <= 60 and value.isprintable() for labels in counts for value in labels)


def test_the_last_success_stays_when_later_runs_fail() -> None:
    """It is the end of the last run with exit code 0, over any number of runs; what cannot be read is nothing."""
    last = LastRun().after(1, 10.0)
    assert last == LastRun(1, 10.0, None)
    last = LastRun.load(last.after(0, 20.0).after(3, 30.0).dump())
    assert last == LastRun(3, 30.0, 20.0)
    assert LastRun.load(None) == LastRun.load("no JSON") == LastRun.load('{"more": 1}') == LastRun()


async def test_the_last_run_is_told_when_it_is_known(ledger: Ledger, tmp_path: Path) -> None:
    """Before the first end there is no exit code, and no zero that looks like one."""
    file = metrics_of(tmp_path)
    file.write(NOW)
    found = read(tmp_path)
    assert found["pipeline_run_in_progress", ()] == 1
    assert not any(name.startswith("pipeline_last") for name, _ in found)
    file.write(replace(NOW, last_run=LastRun(3, 30.0, 20.0), in_progress=False))
    found = read(tmp_path)
    assert found["pipeline_run_in_progress", ()] == 0
    names = ("exit_code", "ended_timestamp_seconds")
    assert [found[f"pipeline_last_run_{name}", ()] for name in names] == [3, 30]
    assert found["pipeline_last_success_timestamp_seconds", ()] == 20


async def test_every_metric_is_named_when_the_file_is_full(ledger: Ledger, tmp_path: Path) -> None:
    """The tables of metrics are whole: what is written stands in one, and each of them is written, by its type."""
    heard = Heard(slots_allowed=3)
    await done(ledger, tmp_path, "a")
    metrics_of(tmp_path).write(replace(NOW, heard=heard, last_run=LastRun(0, 1.0, 1.0)))
    text = (tmp_path / "m.prom").read_text()
    families = {family.name: family.type for family in text_string_to_metric_families(text)}
    wanted = (
        dict.fromkeys(GAUGES, "gauge") | dict.fromkeys(COUNTERS, "counter") | dict.fromkeys(HISTOGRAMS, "histogram")
    )
    assert families == wanted | {f"{name}_info": "gauge" for name in INFOS}


async def test_a_reader_never_sees_half_a_file_when_it_is_written(ledger: Ledger, tmp_path: Path) -> None:
    """Whoever scrapes in any moment finds the first metric and the last."""
    await done(ledger, tmp_path, "a")
    file = metrics_of(tmp_path)
    file.write(NOW)
    over = threading.Event()
    counts: set[int] = set()

    def scrape() -> None:
        while not over.is_set():
            with (tmp_path / "m.prom").open() as opened:
                counts.add(sum(len(family.samples) for family in text_fd_to_metric_families(opened)))

    scraper = threading.Thread(target=scrape)
    scraper.start()
    for _ in range(50):
        file.write(NOW)
    over.set()
    scraper.join()
    assert len(counts) == 1


@pytest.mark.parametrize("in_the_way", ["folder", "pipe", "link", "file", "missing folder"])
async def test_a_sentence_is_told_when_the_file_cannot_be_written(
    ledger: Ledger, tmp_path: Path, in_the_way: str
) -> None:
    """What is there and holds no metrics is left alone: the path may be a device, or somebody's manifest."""
    path = tmp_path / "m.prom"
    if in_the_way == "folder":
        path.mkdir()
    elif in_the_way == "pipe":
        os.mkfifo(path)
    elif in_the_way == "link":
        path.symlink_to("elsewhere")
    elif in_the_way == "file":
        path.write_text("version: 1")
    else:
        path = tmp_path / "no/m.prom"
    file = MetricsFile(path, about(tmp_path), started_at=1.0, after=0)
    with pytest.raises(MetricsError, match=r"m\.prom (is there and holds no metrics|cannot be written: No such file)"):
        file.write(NOW)
    assert in_the_way != "file" or path.read_text() == "version: 1"


@pytest.mark.parametrize("name", ["ledger.sqlite3", "ledger.sqlite3-wal", "results.jsonl", ".lock", "videos/shot.mp4"])
async def test_a_batch_is_not_written_over_when_its_metrics_are_to_go_there(
    ledger: Ledger, tmp_path: Path, name: str
) -> None:
    """No place that a batch lives by becomes a metrics file, not even an empty one or one that is not there yet."""

    def contents() -> dict[Path, bytes]:  # but for the scratch in which SQLite's readers leave their marks
        files = (path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
        return {path: path.read_bytes() for path in files}

    before = contents()
    with pytest.raises(MetricsError, match="it stays as it is"):
        MetricsFile(tmp_path / name, about(tmp_path), started_at=1.0, after=0).write(NOW)
    assert contents() == before


def test_a_duration_is_counted_in_its_bucket_when_it_is_at_the_bound() -> None:
    """A bound includes itself; beyond the last is infinity."""
    histogram = Histogram()
    for seconds in (BUCKETS[0], BUCKETS[-1], BUCKETS[-1] + 1):
        histogram.observe(seconds)
    buckets = dict(histogram.buckets())
    assert [buckets["0.1"], buckets["3600"], buckets["86400"], buckets["+Inf"]] == [1, 1, 2, 3]

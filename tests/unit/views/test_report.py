"""What the report holds, and what it never holds; how it is written, and what its charts count."""

import json
import os
import re
import sqlite3
import stat
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core.errors import FolderError, PipelineError, UsageError
from pipeline.core.jobs import LocalFile, MediaForm
from pipeline.core.money import Quote
from pipeline.ledger import Ledger, LedgerReader, Run
from pipeline.ledger.schema import MIGRATIONS, migrate
from pipeline.views.report import REPORT_NAME, write_report
from pipeline.views.report.batch import SHOWN, Told
from pipeline.views.report.cards import embedded
from pipeline.views.report.charts import BINS, Window, charts_of, levels, quantiles, windows_of
from pipeline.views.report.links import FileLinks
from pipeline.views.report.page import hash_of, policy
from tests.told import BEGAN, Telling, a_job, many_jobs

VENDOR = Path(__file__).parents[3] / "pipeline/views/report/vendor"
HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>&\u2028\ud800{{7*7}}"


class Elements(HTMLParser):
    """The elements of a page, and the texts of its scripts and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.texts.append("")
        self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[-1] += data

    def blocks(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        """Every element of a kind with the text right behind its beginning."""
        return [
            (attributes, text) for (name, attributes), text in zip(self.found, self.texts, strict=True) if name == tag
        ]


def data_of(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two blocks of a report: the batch, and the jobs by id."""
    blocks = [text for attributes, text in Elements(path.read_text()).blocks("script") if "id" in attributes]
    batch, jobs = (json.loads(block) for block in blocks)
    return batch, {job["id"]: job for job in jobs}


def told_of(folder: Path) -> tuple[Told, list[Run]]:
    """What the jobs of a folder come to."""
    told = Told()
    with LedgerReader(folder) as reader:
        for seq, sketch in reader.sketches():
            told.hear(seq, sketch)
        return told, reader.runs()


# -- writing --------------------------------------------------------------------------------------------------------


def test_the_report_is_there_whole_when_it_is_written_again(tmp_path: Path) -> None:
    """It takes the place of the one before in one step, leaves nothing beside it, and is its owner's alone."""
    told = Telling(tmp_path, many_jobs(3))
    assert write_report(tmp_path) == tmp_path / REPORT_NAME
    first = (tmp_path / REPORT_NAME).stat().st_ino
    told.done("shot-00000", 1)
    told.close(100)
    batch, _ = data_of(write_report(tmp_path))
    assert batch["counts"]["done"] == 1
    assert (tmp_path / REPORT_NAME).stat().st_ino != first
    assert stat.S_IMODE((tmp_path / REPORT_NAME).stat().st_mode) == 0o600
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(f".{REPORT_NAME}")]


async def test_the_report_is_of_one_moment_when_a_run_is_writing(tmp_path: Path) -> None:
    """It neither waits for the run nor holds it up."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll(many_jobs(5), "error", 2.0)
        await ledger.intent("shot-00001", base_url="https://api.example.com", body_digest="0a", at=5.0)
        batch, jobs = data_of(write_report(tmp_path))
    assert (batch["counts"]["queued"], batch["counts"]["submitting"]) == (4, 1)
    assert jobs["shot-00001"]["state"] == "submitting"


@pytest.mark.parametrize("name", ["", "missing"])
def test_nothing_is_written_when_there_is_no_batch(tmp_path: Path, name: str) -> None:
    """A wrong folder is told, and stays as it was."""
    with pytest.raises(UsageError, match="no batch here"):
        write_report(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["folder", "missing/report.html", "folder/file/report.html"])
def test_it_is_said_when_the_report_cannot_be_written(tmp_path: Path, target: str) -> None:
    """What is in the way becomes one sentence, and nothing half-written stays."""
    Telling(tmp_path, many_jobs(1)).close(1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FolderError, match=target):
        write_report(tmp_path, tmp_path / target)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("found", ["a manifest", "a link", "a pipe"])
def test_what_is_no_report_stays_when_a_report_is_to_go_there(tmp_path: Path, found: str) -> None:
    """A slip behind `-o` costs nobody a file, and root no device; an empty file is room enough."""
    Telling(tmp_path, many_jobs(1)).close(1)
    target = tmp_path / "shots.yaml"
    if found == "a manifest":
        target.write_text("version: 1")
    elif found == "a link":
        target.symlink_to("/dev/null")
    else:
        os.mkfifo(target)
    before = target.lstat()
    with pytest.raises(FolderError, match="is there and is no report of ours; remove it, or name another file"):
        write_report(tmp_path, target)
    assert target.lstat() == before
    target.unlink()
    target.touch()
    assert write_report(tmp_path, target).stat().st_size > 0


@pytest.mark.parametrize("name", ["ledger.sqlite3", "ledger.sqlite3-wal", "results.jsonl", ".lock", "videos/new.mp4"])
def test_a_batch_is_not_written_over_when_its_report_is_to_go_there(tmp_path: Path, name: str) -> None:
    """No place that a batch lives by becomes a report: an empty lock in its place would let two runs in."""
    Telling(tmp_path, many_jobs(1)).close(1)
    (tmp_path / "videos").mkdir()
    (tmp_path / ".lock").touch()
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for target in (tmp_path / name, tmp_path / "elsewhere" / name, tmp_path / "videos/.." / name):
        with pytest.raises(FolderError, match="is a place of the batch itself"):
            write_report(tmp_path, target)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_bug_is_an_error_that_is_known_when_the_ledger_is_not_what_it_should_be(tmp_path: Path) -> None:
    """A run that ends with a report cannot be failed by it."""
    told = Telling(tmp_path, many_jobs(1))
    told.connection.execute("""UPDATE jobs SET spec = '{"model": 1}'""")
    told.close(1)
    with pytest.raises(PipelineError, match="was not written: a bug"):
        write_report(tmp_path)


def test_an_older_ledger_is_told_when_it_knows_less(tmp_path: Path) -> None:
    """What it did not note is missing, and nothing else."""
    connection = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    migrate(connection, MIGRATIONS[:1])
    connection.execute("INSERT INTO runs VALUES ('r', 1.0, 2.0)")
    connection.close()
    batch, jobs = data_of(write_report(tmp_path))
    assert (batch["spending"], jobs) == (None, {})


# -- what it holds --------------------------------------------------------------------------------------------------


def test_where_a_result_came_from_is_not_told_when_it_is_on_disk(tmp_path: Path) -> None:
    """Result URLs are signed: whoever has one has the video. A message that quotes one loses what is behind it."""
    told = Telling(tmp_path, many_jobs(2))
    told.done("shot-00000", 1)
    told.failed("shot-00001", 2, message="GET https://cdn.example.com/v.mp4?Signature=s3cr3t failed")
    told.close(100)
    text = write_report(tmp_path).read_text()
    assert "s3cr3t" not in text
    assert "GET https://cdn.example.com/v.mp4 failed" in text


def test_no_text_of_a_batch_is_markup_when_it_is_hostile(tmp_path: Path) -> None:
    """Whatever it holds, the page has the same elements, and the text comes back as it was."""
    plain = Telling(tmp_path / "plain", [a_job("a")])
    plain.refused("a", 1)
    odd = a_job(
        "a",
        input={"prompt": HOSTILE, HOSTILE: [HOSTILE]},
        metadata={HOSTILE: HOSTILE},
        model=HOSTILE.replace("\ud800", ""),
    )
    hostile = Telling(tmp_path / "h<b>'&amp;", [odd])
    hostile.refused("a", 1, message=HOSTILE.replace("\ud800", ""), code="<b>")
    pages = [write_report(told.folder).read_text() for told in (plain, hostile)]
    names = [[name for name, _ in Elements(text).found] for text in pages]
    assert names[0] == names[1]
    _, jobs = data_of(hostile.folder / REPORT_NAME)
    assert jobs["a"]["input"]["prompt"] == HOSTILE
    assert jobs["a"]["metadata"] == {HOSTILE: HOSTILE}


@given(
    st.dictionaries(
        st.text(), st.text() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    )
)
@example({"海浪": "冲浪者挥手 🏄 \x7f \x80 \u2028 <b>&amp;", "\ud83c": "\ud800"})
def test_a_value_comes_back_from_a_page_when_it_holds_any_characters(value: dict[str, Any]) -> None:
    """It stands there in printable ASCII without a sign of HTML, and means the same."""
    text = embedded(value)
    assert re.fullmatch(r"[ -~]*", text)
    assert not set(text) & set("<>&")
    assert json.loads(text) == value


def test_the_page_may_do_nothing_else_when_its_policy_is_read(tmp_path: Path) -> None:
    """Its two scripts and its style are allowed by their hashes; there is no handler, no link and no source beside."""
    Telling(tmp_path, many_jobs(1)).close(1)
    page = Elements(write_report(tmp_path).read_text())
    (meta,) = [attributes for attributes, _ in page.blocks("meta") if attributes.get("http-equiv")]
    assert meta["content"] == policy(live=False)
    scripts = [text for attributes, text in page.blocks("script") if attributes.get("type") != "application/json"]
    assert [hash_of(text) in policy(live=False) for text in scripts] == [True, True]
    assert hash_of(page.blocks("style")[0][1]) in policy(live=False)
    assert "default-src 'none'" in policy(live=False)
    assert "connect-src 'none'" in policy(live=False)
    for name, attributes in page.found:
        assert not [key for key in attributes if key.startswith("on") or key == "style"]
        assert not {"src", "action"} & attributes.keys()
        assert name not in {"iframe", "object", "embed", "form", "base"}
        assert name != "link" or attributes == {"rel": "icon", "href": "data:,"}


def test_cost_is_told_by_currency_when_prices_are_known_and_not(tmp_path: Path) -> None:
    """Sums come with what of them is estimated, and what has no price is named with its model."""
    told = Telling(tmp_path, many_jobs(5, lambda one: {"model": "own/model" if one == 3 else "Wan-AI/Wan2.2-I2V"}))
    told.done("shot-00000", 1)
    told.failed("shot-00001", 2)
    told.done("shot-00002", 3, quote=Quote("kind", "model", currency="USD", expected=500_000, worst=500_000))
    told.done("shot-00003", 4, quote=None)
    told.refused("shot-00004", 5)
    told.close(100)
    batch, jobs = data_of(write_report(tmp_path))
    spent = {one["currency"]: (one["tasks"], one["spent"], one["estimated"]) for one in batch["spending"]}
    assert spent == {"CNY": (2, "1.80", "0.90"), "USD": (1, "0.90", "0.00"), None: (1, "0.00", "0.00")}
    assert batch["unpriced"] == [["own/model", 1]]
    assert jobs["shot-00001"]["cost"] == ["0.90", "CNY", True]
    assert "cost" not in jobs["shot-00004"]


def test_large_values_are_cut_when_they_stand_in_a_manifest(tmp_path: Path) -> None:
    """A picture as Base64 costs the page some hundred characters, and the job says that it is not whole."""
    picture = "data:image/png;base64," + "A" * 5_000_000
    jobs = [
        a_job("large", input={"first_frame_url": picture, "prompt": "p"}),
        a_job("many", metadata={str(number): "x" * 10_000 for number in range(100)}),
        a_job("exact", metadata={"id": 2**63, "share": 0.5}),
    ]
    Telling(tmp_path, jobs).close(1)
    path = write_report(tmp_path)
    _, cards = data_of(path)
    assert path.stat().st_size < 500_000
    assert cards["large"]["input"]["first_frame_url"].endswith("… (5,000,022 characters)")
    assert cards["exact"]["metadata"] == {"id": str(2**63), "share": 0.5}
    assert all(card["cut"] for card in cards.values())


def test_the_gallery_is_bounded_when_a_batch_is_very_large(tmp_path: Path) -> None:
    """Failed and unknown jobs come first, then those that moved last; figures and charts are over all."""
    told = Telling(tmp_path, many_jobs(SHOWN + 100))
    told.failed("shot-00003", 1)
    told.lost("shot-00005", 2)
    told.done(f"shot-{50:05}", 3)
    told.close(200)
    batch, jobs = data_of(write_report(tmp_path))
    assert len(jobs) == SHOWN
    assert {"shot-00003", "shot-00005", "shot-00050", f"shot-{SHOWN + 99}"} <= jobs.keys()
    assert "shot-00000" not in jobs
    assert sum(batch["counts"].values()) == SHOWN + 100
    assert list(jobs) == sorted(jobs)


def test_seeds_are_offered_when_the_model_has_them(tmp_path: Path) -> None:
    """By the catalog, for this form of request; a model that it does not know has a seed where its job has one."""
    jobs = [
        a_job("known"),
        a_job("first-form", input={"image_url": "https://example.com/a.jpg", "prompt": "p"}, parameters={}),
        a_job("without", model="own/model", parameters={}, output="b.mp4"),
        a_job("own", model="own/model", output="c.mp4"),
    ]
    Telling(tmp_path, jobs).close(1)
    _, cards = data_of(write_report(tmp_path))
    assert cards["known"]["seeds"] == [1, 2147483647]
    assert "seeds" not in cards["first-form"]
    assert "seeds" not in cards["without"]
    assert cards["own"]["seeds"] == [1, 2147483647]


# -- links ----------------------------------------------------------------------------------------------------------


def test_links_are_only_paths_when_names_have_odd_characters(tmp_path: Path) -> None:
    """Relative to the page, percent-encoded, and never a scheme."""
    links = FileLinks(tmp_path / "out", tmp_path / "out/report.html")
    assert links.video(1, 0, 'videos/a b#?%"<é.mp4') == "./videos/a%20b%23%3F%25%22%3C%C3%A9.mp4"
    assert links.video(1, 0, "javascript:alert(1)") == "./javascript%3Aalert%281%29"
    assert links.picture(1, 0, str(tmp_path / "pictures/a:b.png")) == "./../pictures/a%3Ab.png"
    assert links.picture(1, 0, str(tmp_path / "bad\udcff.png")) == "./../bad%FF.png"
    elsewhere = FileLinks(tmp_path / "o t", tmp_path / "reports/monday.html")
    assert elsewhere.video(1, 0, "videos/a.mp4") == "../o%20t/videos/a.mp4"


def test_local_pictures_are_named_when_a_job_has_them(tmp_path: Path) -> None:
    """With their field, so that a re-roll finds them again."""
    picture = LocalFile("input.first_frame_url", str(tmp_path / "p.png"), "ab", 3, "image/png", MediaForm.DATA_URI)
    Telling(tmp_path / "out", [a_job("a", files=(picture,))]).close(1)
    _, cards = data_of(write_report(tmp_path / "out"))
    assert cards["a"]["media"] == [["input.first_frame_url", str(tmp_path / "p.png"), "image/png", "./../p.png"]]


# -- charts ---------------------------------------------------------------------------------------------------------


def test_tasks_overlap_when_they_run_at_the_same_time(tmp_path: Path) -> None:
    """Two tasks of a hundred seconds, the second begun halfway, overlap for half of that."""
    told = Telling(tmp_path, many_jobs(2))
    told.done("shot-00000", 0, took=98.0)
    told.done("shot-00001", 50, took=98.0)
    told.close(160)
    heard, runs = told_of(tmp_path)
    (window,) = charts_of(heard.moments, runs, [])["windows"]
    generating = window["stages"][1]
    point = window["width"]
    assert generating[int(25 / point)] == 1
    assert generating[int(75 / point)] == 2
    assert generating[int(125 / point)] == 1
    assert sum(generating) * point == pytest.approx(2 * 99, abs=1)
    assert sum(window["ended"]["done"]) == 2


def test_a_stage_takes_what_passed_when_jobs_are_timed(tmp_path: Path) -> None:
    """Submit, wait and generate (by the service's stamps), notice and download add up to the whole."""
    told = Telling(tmp_path, many_jobs(3))
    for number in range(2):
        told.done(f"shot-{number:05}", number, took=60.0)
    told.failed("shot-00002", 5, took=30.0)
    told.close(200)
    heard, runs = told_of(tmp_path)
    parts = charts_of(heard.moments, runs, [])["parts"]
    assert [parts[name]["middle"] for name in ("submit", "notice", "download")] == [0.5, 1.0, 2.0]
    assert (parts["generate"]["low"], parts["generate"]["most"]) == (29.5, 60.0)
    assert parts["submit"]["count"] == 3


def test_durations_are_by_model_and_resolution_when_there_are_several(tmp_path: Path) -> None:
    """The most frequent kind comes first."""
    told = Telling(tmp_path, many_jobs(3))
    for number in range(3):
        told.done(f"shot-{number:05}", number, took=60.0 + number)
    heard, runs = told_of(tmp_path)
    kinds = charts_of(heard.moments, runs, [])["kinds"]
    assert [(one["kind"], one["count"], one["most"]) for one in kinds] == [
        ("Wan2.2-I2V 480P", 2, 62.0),
        ("Wan2.2-I2V 720P", 1, 60.0),
    ]


def test_each_run_has_charts_of_its_own_when_there_are_several() -> None:
    """A run that was killed ends where the next one begins, or where something last moved."""
    runs = [Run("a", 100.0, 200.0), Run("b", 1000.0, None), Run("c", 2000.0, None)]
    windows = windows_of(runs, 2500.0)
    assert [(one.run_id, one.begin, one.end) for one in windows] == [
        (None, 100.0, 2500.0),
        ("a", 100.0, 200.0),
        ("b", 1000.0, 2000.0),
        ("c", 2000.0, 2500.0),
    ]
    assert windows_of([], 5.0) == []
    assert [one.run_id for one in windows_of(runs[:1], 150.0)] == [None]


@given(st.lists(st.tuples(st.floats(-50, 1200), st.floats(0, 500)), max_size=20))
def test_no_second_is_lost_when_spans_are_drawn(spans: list[tuple[float, float]]) -> None:
    """What a chart shows of each of its points is exactly the time that was spent there."""
    window = Window(0.0, 1000.0)
    shown = levels(sorted(begin for begin, _ in spans), sorted(begin + length for begin, length in spans), window)
    edges = [window.begin + number * window.width for number in range(BINS + 1)]
    spent = [
        sum(max(0.0, min(begin + length, after) - max(begin, before)) for begin, length in spans)
        for before, after in pairwise(edges)
    ]
    assert shown == pytest.approx([seconds / window.width for seconds in spent], abs=0.006)


def test_quantiles_are_of_the_list_when_it_is_short_or_empty() -> None:
    """One value is every quantile; none is nothing."""
    assert quantiles([]) is None
    assert quantiles([3.0]) == {"count": 1, "total": 3.0, "low": 3.0, "middle": 3.0, "high": 3.0, "most": 3.0}
    assert quantiles([float(number) for number in range(1, 11)]) == {
        "count": 10,
        "total": 55.0,
        "low": 2.0,
        "middle": 6.0,
        "high": 10.0,
        "most": 10.0,
    }


def test_a_job_counts_once_when_it_is_heard_of_again(tmp_path: Path) -> None:
    """What has become of it replaces what was known."""
    told = Telling(tmp_path, many_jobs(2))
    told.running("shot-00000", 1)
    heard, runs = told_of(tmp_path)
    assert charts_of(heard.moments, runs, [])["parts"]["generate"] is None
    told.connection.execute("UPDATE jobs SET state = 'queued', intent_at = NULL, moved_at = ?", (BEGAN + 5,))
    with LedgerReader(tmp_path) as reader:
        for seq, sketch in reader.sketches():
            heard.hear(seq, sketch)
    assert list(heard.moments.stages()) == [([], [])] * 3
    assert sum(heard.counts().values()) == 2


# -- what comes with it ---------------------------------------------------------------------------------------------


def test_the_chart_library_is_named_when_it_is_carried_along() -> None:
    """Name, version, licence and source stand beside it."""
    found = re.search(r"Chart\.js v(\S+)", (VENDOR / "chart.umd.min.js").read_text())
    assert found
    readme = (VENDOR / "README.md").read_text()
    assert f"| Chart.js (with `@kurkle/color` 0.3.2 inside) | {found[1]} | MIT" in readme
    assert "Permission is hereby granted" in (VENDOR / "chart.js-LICENSE.md").read_text()

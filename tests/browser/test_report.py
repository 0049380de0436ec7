"""The report as a person meets it: opened from a file, looked at, searched, played, and exported from."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from pipeline.core.jobs import Job
from pipeline.manifest import open_manifest
from pipeline.views.report import write_report
from tests.browser.chromium import Page
from tests.browser.conftest import ROOT
from tests.told import Telling, a_job, a_large_batch, many_jobs

CARD = ".card[aria-posinset='{}']"
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">{{7*7}} ${7*7} `\u2028'\"<b>&lt;javascript:alert(1)"


def jobs_in(manifest: Path) -> dict[str, Job]:
    """The jobs of a manifest without a problem, by id."""
    with open_manifest(manifest) as opened:
        assert opened.check().jobs
        return {job.job_id: job for job in opened.jobs()}


def a_small_batch(folder: Path) -> Path:
    """The report of five jobs: three done, one failed, one unknown."""
    texts = ["a fox runs", "a boat sails", "a kite climbs", "a lamp glows", "a door opens"]
    jobs = [
        a_job(
            f"shot-{number}",
            input={"first_frame_url": f"https://example.com/{number}.jpg", "prompt": text},
            model="Wan-AI/Wan2.2-I2V" if number < 3 else "Wan-AI/Wan2.2-T2V",
            metadata={"scene": number, "place": "sea" if number == 1 else "land"},
        )
        for number, text in enumerate(texts)
    ]
    told = Telling(folder, jobs)
    for number, took in enumerate((50.0, 30.0, 90.0)):
        told.done(f"shot-{number}", at=number, took=took)
    told.refused("shot-3", at=4)
    told.lost("shot-4", at=5)
    told.close(at=200)
    for number in range(3):
        (folder / "videos").mkdir(exist_ok=True)
        (folder / f"videos/shot-{number}.mp4").write_bytes((ROOT / "pipeline/emulator/tiny.mp4").read_bytes())
    return write_report(folder)


def test_everything_is_there_when_the_report_is_opened_from_a_file(page: Page, rehearsed: Path) -> None:
    """Headline, cost, five charts and the gallery are shown, and nothing is asked for but files."""
    page.open(rehearsed / "report.html")
    assert page.text("h1") == "shots-rehearsal"
    assert page.texts("#legend li") == ["2 done", "1 failed"]
    assert "It would have cost" in page.text("#figures")
    assert page.ids() == ["dunes", "sea", "planet"]
    page.wait("document.querySelector('.still').naturalWidth > 0")
    for name in ("overlap", "throughput", "parts", "kinds", "failures"):
        assert page.js("Chart.getChart(arguments[0]).data.datasets.length", f"chart-{name}") > 0
        assert page.js("document.getElementById(arguments[0]).ariaLabel.length", f"chart-{name}") > 10
    assert page.requests()
    assert all(url.startswith("file:///") for url in page.requests())


def test_a_video_plays_when_the_mouse_is_over_its_card(page: Page, rehearsed: Path) -> None:
    """It is fetched only then, is silent, and stops when the mouse leaves."""
    page.open(rehearsed / "report.html")
    page.js("scrollTo(0, document.querySelector('#jobs').offsetTop)")
    page.wait("document.querySelector('.still').naturalWidth > 0")
    assert not any(url.endswith(".mp4") for url in page.requests())
    page.hover(f"{CARD.format(1)} .frame")
    page.wait("document.querySelector('.clip').currentTime > 0.1")
    assert page.js("document.querySelector('.clip').muted && document.querySelector('.clip').loop")
    page.hover("#search")
    page.wait("document.querySelector('.clip').paused")


def test_a_job_is_shown_large_when_its_card_is_clicked(page: Page, rehearsed: Path) -> None:
    """The video plays with controls, beside everything that is known; keys go on and close."""
    page.open(rehearsed / "report.html")
    page.click(f"{CARD.format(1)} .prompt")
    page.click(f"{CARD.format(1)} .frame")
    page.wait("document.querySelector('#stage video').currentTime > 0.1")
    assert page.js("document.querySelector('#stage video').controls")
    details = page.text("#details")
    for fact in (
        "Sand drifts",
        "480P",
        "41",
        "desert",
        "CNY",
        "Wait and generate",
        "videos/dunes.mp4",
        "shots.yaml, line",
    ):
        assert fact in details
    page.press("j", "j")
    assert page.text("#lightbox-title") == "planet"
    assert "generationfailed at generate" in page.text("#details")
    page.press(Keys.ESCAPE)
    page.wait("!document.querySelector('#lightbox').open")
    page.focus_is_on("planet")


def test_jobs_are_found_when_somebody_filters(page: Page, tmp_path: Path) -> None:
    """Words, status, model, metadata, and all of them together."""
    page.open(a_small_batch(tmp_path))
    page.write("#search", "BOAT sails")
    assert page.ids() == ["shot-1"]
    assert page.text("#count") == "1 of 5"
    page.press(Keys.ESCAPE)
    assert len(page.ids()) == 5
    page.press(Keys.ESCAPE)
    page.click("[data-state=failed]")
    assert page.ids() == ["shot-3"]
    page.click("[data-state=unknown]")
    assert page.ids() == ["shot-3", "shot-4"]
    page.choose("#model", "Wan-AI/Wan2.2-I2V")
    assert page.ids() == []
    assert page.js("!document.querySelector('#empty').hidden")
    page.click("[data-state=failed]")
    page.click("[data-state=unknown]")
    assert page.ids() == ["shot-0", "shot-1", "shot-2"]
    page.choose("#meta-key", "place")
    page.write("#meta-value", "land")
    assert page.ids() == ["shot-0", "shot-2"]


@pytest.mark.parametrize(
    ("by", "up", "down"),
    [
        ("took", "31042", "24013"),
        ("cost", "01243", "01243"),  # three cost the same, and the refused one nothing that is known
        ("moved", "31042", "24013"),
        ("state", "34012", "01243"),
        ("id", "01234", "43210"),
    ],
)
def test_jobs_are_in_order_when_somebody_sorts(page: Page, tmp_path: Path, by: str, up: str, down: str) -> None:
    """By duration, cost, time, status or id, up or down; what a job does not have comes last either way."""
    page.open(a_small_batch(tmp_path))
    page.choose("#sort", by)
    assert "".join(job_id[-1] for job_id in page.ids()) == up
    page.click("#direction")
    assert "".join(job_id[-1] for job_id in page.ids()) == down


def test_the_keyboard_is_enough_when_there_is_no_mouse(page: Page, tmp_path: Path) -> None:
    """Go, open, play, mark, search, ask for help, and come back."""
    page.open(a_small_batch(tmp_path))
    page.press("j")
    page.focus_is_on("shot-0")
    page.press("j", Keys.ARROW_RIGHT, "k")
    page.focus_is_on("shot-1")
    page.press(" ")
    page.wait("document.querySelector('.card.playing .id')?.textContent === 'shot-1'")
    page.press("m")
    assert page.text("#marked") == "1 job marked"
    page.press(Keys.ENTER)
    assert page.text("#lightbox-title") == "shot-1"
    page.press("m", Keys.ESCAPE)
    page.wait("!document.querySelector('#lightbox').open")
    assert page.js("document.querySelector('#tray').hidden")
    page.press("?")
    assert page.js("document.querySelector('#help').open")
    page.press(Keys.ESCAPE)
    page.wait("!document.querySelector('#help').open && !document.activeElement.closest('dialog')")
    page.press("/")
    page.wait("document.activeElement.id === 'search'")
    page.press("kite")
    page.wait("document.querySelector('#count').textContent === '1 of 5'")
    assert page.ids() == ["shot-2"]
    page.press(Keys.ESCAPE, Keys.ESCAPE, Keys.ARROW_DOWN)
    page.wait("document.querySelectorAll('.card').length === 5")


def test_the_focus_stays_in_the_search_when_the_lightbox_tells_late_that_it_is_closed(
    page: Page, tmp_path: Path
) -> None:
    """A browser tells of a closed dialog a task later, and somebody may be typing by then."""
    page.open(a_small_batch(tmp_path))
    page.press("j")
    page.focus_is_on("shot-0")
    page.press(Keys.ENTER)
    page.wait("document.querySelector('#lightbox').open")
    late = "document.querySelector('#lightbox').addEventListener('close', () => setTimeout(() => window.told = true))"
    page.js(f"({late}, document.querySelector('#lightbox').close(), document.querySelector('#search').focus(), 0)")
    page.wait("window.told")
    assert page.js("document.activeElement.id") == "search"


def test_a_manifest_is_exported_when_jobs_are_marked(page: Page, rehearsed: Path, tmp_path: Path) -> None:
    """It passes `pipeline validate`, buys the same with other seeds, and has ids of its own."""
    page.downloads(tmp_path)
    page.open(rehearsed / "report.html")
    page.press("j", "m", "j", "m")
    page.click("#export")
    path = tmp_path / "shots-rehearsal-reroll.jsonl"
    page.downloaded(path)
    checked = subprocess.run(
        [sys.executable, "-m", "pipeline", "validate", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, f"{path}: 2 jobs, no problem\n")
    before, after = jobs_in(rehearsed.parents[1] / "shots.yaml"), jobs_in(path)
    assert list(after) == ["dunes-r2", "sea-r2"]
    for job_id in ("dunes", "sea"):
        old, new = before[job_id], after[f"{job_id}-r2"]
        assert new.files[0].sha256 == old.files[0].sha256
        assert (new.input["prompt"], new.metadata) == (old.input["prompt"], old.metadata)
        assert new.parameters["seed"] != old.parameters.get("seed")
        assert {**new.parameters, "seed": 0} == {**old.parameters, "seed": 0}
    assert "shots-rehearsal-reroll.jsonl: 2 jobs" in page.text("#marked")


def test_text_is_the_same_again_when_it_could_be_taken_for_a_template(page: Page, tmp_path: Path) -> None:
    """Braces, takes of takes and outputs in folders come out of the exported manifest as they were bought."""
    odd = "{seed} of {{id}} } { and {metadata.shot}"
    jobs = [
        a_job("odd", input={"first_frame_url": "https://example.com/a.jpg", "prompt": odd}, output="a{b}/odd.mov"),
        a_job("take-r4"),
        a_job("constructor", metadata={"constructor": 1}),
        a_job("x" * 128, model="Wan-AI/Wan2.2-T2V", input={"prompt": "no picture"}, parameters={}),
    ]
    Telling(tmp_path, jobs).close(at=1)
    page.downloads(tmp_path)
    page.open(write_report(tmp_path))
    page.press("j", "m")
    page.click("#mark-shown")
    page.click("#export")
    path = next(tmp_path.glob("*.crdownload"), tmp_path / f"{tmp_path.name}-reroll.jsonl")
    page.downloaded(tmp_path / f"{tmp_path.name}-reroll.jsonl")
    found = jobs_in(path)
    assert list(found) == ["odd-r2", "take-r5", "constructor-r2", f"{'x' * 125}-r2"]
    assert found["odd-r2"].input["prompt"] == odd
    assert found["odd-r2"].output == "a{b}/odd-r2.mov"
    assert found["odd-r2"].parameters["seed"] != 7


def test_text_stays_text_when_it_is_hostile(page: Page, tmp_path: Path) -> None:
    """Whatever a prompt, an id, a name, metadata or a message holds, it is shown and never carried out."""
    hostile = a_job(
        "a",
        input={"first_frame_url": "javascript:document.title='owned'", "prompt": HOSTILE, HOSTILE: HOSTILE},
        parameters={"resolution": HOSTILE, "duration": HOSTILE, "seed": HOSTILE},
        metadata={HOSTILE: HOSTILE, "__proto__": {"x": 1}, "constructor": 1},
        model=HOSTILE,
        output="a.mp4",
    )
    folder = tmp_path / "a<img src=x onerror=alert(1)>'\"&amp;"
    told = Telling(folder, [hostile, a_job("b"), a_job("c")])
    told.refused("a", 1, message=HOSTILE, code=HOSTILE)
    told.done("b", 2, file="videos/b'\"<i>#?%2e javascript:.mp4")
    told.lost("c", 3)
    told.close(at=100)
    (folder / "videos").mkdir()
    (folder / "videos/b'\"<i>#?%2e javascript:.mp4").write_bytes((ROOT / "pipeline/emulator/tiny.mp4").read_bytes())
    page.open(write_report(folder))
    assert page.text("h1") == folder.name
    assert page.text(f"{CARD.format(1)} .prompt") == HOSTILE
    page.choose("#meta-key", "constructor")
    assert page.ids() == ["a"]
    page.choose("#meta-key", "")
    page.press("j", Keys.ENTER)
    assert HOSTILE in page.texts("#details dd")
    assert HOSTILE in page.texts("#details dt")
    assert page.js(
        "[...document.querySelectorAll('a')].every((a) => ['file:', 'http:', 'https:'].includes(a.protocol))"
    )
    page.press("j")
    page.wait("document.querySelector('#stage video')?.duration > 0")
    assert page.js("document.querySelectorAll('main b b, [onerror], img[src=x]').length") == 0
    assert "owned" not in str(page.js("document.title"))


def test_few_cards_are_in_the_document_when_there_are_thousands(page: Page, tmp_path: Path) -> None:
    """5,000 jobs are scrolled through from end to end with some dozens of cards, and the last one can be reached."""
    page.device(1280, 900)
    a_large_batch(tmp_path, 5000, file="videos/one.mp4")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/one.mp4").write_bytes((ROOT / "pipeline/emulator/tiny.mp4").read_bytes())
    page.open(write_report(tmp_path))
    most = page.js(
        "new Promise((done) => { let most = 0, at = 0; const end = document.documentElement.scrollHeight;"
        " (function step() { most = Math.max(most, document.querySelectorAll('.card').length); at += end / 60;"
        " scrollTo(0, at); at < end ? requestAnimationFrame(step) : done(most); })(); })"
    )
    assert 0 < most < 80
    page.press("j", Keys.END)
    page.focus_is_on("shot-04999")
    page.write("#search", "shot-00042")
    assert page.ids() == ["shot-00042"]


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_cut_off_when_the_window_is_narrow(page: Page, tmp_path: Path, width: int) -> None:
    """On a phone there is nothing to scroll sideways, in the page or in a job, and the filters unfold."""
    page.device(width, 740, phone=True)
    page.open(a_small_batch(tmp_path))
    assert page.js("document.documentElement.scrollWidth") == width
    if width < 700:
        page.click("#more")
    assert page.js("document.querySelector('#filters').offsetHeight") > 30
    page.click("[data-state=failed]")
    page.click(f"{CARD.format(1)} .frame")
    assert page.js("document.querySelector('#lightbox').scrollWidth") <= width
    assert page.js("document.querySelector('#details').getBoundingClientRect().right") <= width
    page.press("m", Keys.ESCAPE)
    page.focus_is_on("shot-3")
    assert page.js("document.querySelector('#tray').getBoundingClientRect().right") <= width
    assert page.js("document.documentElement.scrollWidth") == width


def test_colours_follow_when_the_system_or_the_reader_says_dark(page: Page, tmp_path: Path) -> None:
    """The system decides, the button overrules it, and the choice is remembered."""
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    path = a_small_batch(tmp_path)
    page.prefer("light")
    page.open(path)
    light = page.js(paper)
    page.prefer("dark")
    dark = page.js(paper)
    assert light != dark
    page.click("#theme")
    assert page.js(paper) == light
    page.open(path)
    assert page.js(paper) == light
    page.click("#theme")
    assert page.js(paper) == dark


def test_the_network_is_left_alone_when_pictures_are_elsewhere(page: Page, tmp_path: Path) -> None:
    """A picture with a URL is a link that somebody may follow; the page itself never does."""
    page.open(a_small_batch(tmp_path))
    page.press("j", Keys.ENTER)
    link = "#details a[href^='https://example.com/']"
    assert page.text(link) == "https://example.com/0.jpg"
    assert page.js("document.querySelector(arguments[0]).rel", link) == "noopener noreferrer"
    page.wait("document.querySelector('#stage video').currentTime > 0")
    assert {url.split(":")[0] for url in page.requests()} == {"file"}


def test_marks_are_still_there_when_the_report_is_opened_again(page: Page, tmp_path: Path) -> None:
    """The browser remembers them for this batch alone."""
    path = a_small_batch(tmp_path)
    page.open(path)
    page.press("j", "m")
    page.open(path)
    assert page.text("#marked") == "1 job marked"
    other = Telling(tmp_path / "other", many_jobs(2), run_id="20261123T020000Z-0000")
    other.close(at=1)
    page.open(write_report(tmp_path / "other"))
    assert page.js("document.querySelector('#tray').hidden")


def test_data_is_strict_json_when_it_is_taken_out_of_the_page(tmp_path: Path) -> None:
    """Other programs may read the two blocks, too."""
    text = a_small_batch(tmp_path).read_text()
    blocks = [part.split("</script>")[0].split(">", 1)[1] for part in text.split('<script type="application/json"')[1:]]
    batch, jobs = (json.loads(block) for block in blocks)
    assert batch["counts"]["done"] == 3
    assert [job["id"] for job in jobs] == [f"shot-{number}" for number in range(5)]

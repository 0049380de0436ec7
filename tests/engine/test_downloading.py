"""What becomes of a finished task's videos: retries, fresh links, several files, full disks."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from pipeline.core.errors import (
    InterruptedDownloadError,
    LinkExpiredError,
    NoSpaceError,
    RejectedError,
    TransientError,
    UnusableResultError,
)
from pipeline.core.events import CallFailed
from pipeline.core.jobs import Failure, JobState, Record, StoredFile, Task, TaskReport, TaskState
from pipeline.engine.account import Account
from pipeline.engine.backoff import Backoff
from pipeline.engine.desk import Desk
from pipeline.engine.downloader import Downloaders, FetchRules, output_name
from pipeline.engine.health import Health, HealthRules
from pipeline.engine.pace import Pace
from tests.engine.fakes import SIGNAL, FakeService, FakeStore, LoopClock, Theatre, Trouble, first, jobs, success
from tests.engine.virtual import play

CUT = InterruptedDownloadError("the transfer broke off", code="cut")
EXPIRED = LinkExpiredError("forbidden", code="link_expired", http_status=403)


def ends_with(*links: str, videos: int = 1) -> FakeService:
    """A service whose task is finished at once; each question brings the next set of links, the last one for ever."""

    def status(number: int, job_id: str) -> TaskReport:
        return success(f"t1-{job_id}", videos, links[min(number, len(links)) - 1])

    return FakeService(on_status=status)


def expired(link: str) -> FakeStore:
    """A host that no longer serves one set of links."""
    return FakeStore(on_fetch=lambda _n, url, _output: EXPIRED if f"/{link}/" in url else None)


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("a.mp4", ["a.mp4", "a-2.mp4", "a-3.mp4"]),
        ("b/c.d.mp4", ["b/c.d.mp4", "b/c.d-2.mp4", "b/c.d-3.mp4"]),
        ("plain", ["plain", "plain-2", "plain-3"]),
    ],
)
def test_later_videos_are_numbered_from_two(output: str, names: list[str]) -> None:
    """The first video has the job's own name; the number goes before the suffix."""
    assert [output_name(output, position) for position in range(3)] == names


def test_every_url_becomes_a_file_when_a_task_has_several(theatre: Theatre) -> None:
    """Several URLs give several files on one results line; the job is done when the last one is there."""
    played = theatre.run(jobs(1), ends_with("a", videos=3))
    assert played.exit_code == 0
    (line,) = theatre.results()
    assert [file["path"] for file in line["files"]] == ["videos/j1.mp4", "videos/j1-2.mp4", "videos/j1-3.mp4"]


def test_a_download_is_tried_again_when_it_breaks_off(theatre: Theatre) -> None:
    """Interrupted transfers are repeated with growing pauses within the run, and no host's pause is shortened."""
    slow = InterruptedDownloadError("busy", code="http_503", retry_after=25.0)
    store = FakeStore(on_fetch=first(CUT, CUT, slow))
    played = theatre.run(jobs(1), FakeService(), store)
    assert played.exit_code == 0
    pauses = [event.retry_in for event in played.all(CallFailed)]
    assert pauses[0] <= 1.0 <= pauses[1] <= 2.0
    assert pauses[2] == 25.0
    assert [at for at, _, _ in store.tried] == pytest.approx(
        [
            store.tried[0][0] + sum(pauses[:n]) + n * store.takes  # each try takes its second, too
            for n in range(4)
        ]
    )


@pytest.mark.parametrize(("cuts", "counts"), [(4, {"done": 1}), (5, {"failed": 1})])
def test_the_job_fails_for_now_when_all_tries_break_off(theatre: Theatre, cuts: int, counts: dict[str, int]) -> None:
    """After `download_tries` the run goes on without; the next run fetches the video without paying again."""
    service, store = FakeService(), FakeStore(on_fetch=first(*[CUT] * cuts))
    played = theatre.run(jobs(1), service, store, download_tries=5)
    assert played.counts == counts
    if "failed" in counts:
        assert played.exit_code == 1
        assert theatre.results()[0]["error"]["stage"] == "download"
        again = theatre.run(jobs(1), service, store)
        assert again.counts == {"done": 1}
        assert [line["status"] for line in theatre.results()] == ["failed", "succeeded"]
    assert len(service.sent) == 1


def test_tries_are_counted_for_each_video_when_a_task_has_several(theatre: Theatre) -> None:
    """One video's bad luck does not use up the tries of the next."""
    store = FakeStore(on_fetch=lambda number, *_: CUT if number < 3 else None)
    assert theatre.run(jobs(1), ends_with("a", videos=3), store, download_tries=3).exit_code == 0


def test_a_fresh_link_is_used_when_the_old_one_has_expired(theatre: Theatre) -> None:
    """On 403, 404 or 410 the status is asked once more, and the download goes on with what it says."""
    service, store = ends_with("old", "new"), expired("old")
    assert theatre.run(jobs(1), service, store).exit_code == 0
    assert [url.split("/")[3] for _, url, _ in store.tried] == ["old", "new"]
    assert service.questions["j1"] == 2
    assert "/new/" in theatre.results()[0]["files"][0]["url"]


def test_the_download_fails_for_now_when_the_fresh_link_has_expired_too(theatre: Theatre) -> None:
    """One fresh link for each video and run; the next run asks for another."""
    service, store = ends_with("old"), expired("old")
    played = theatre.run(jobs(1), service, store)
    assert played.counts == {"failed": 1}
    assert len(store.tried) == 2
    assert theatre.results()[0]["error"]["http_status"] == 403
    service.on_status = lambda _n, job_id: success(f"t1-{job_id}", 1, "new")
    assert theatre.run(jobs(1), service, store).counts == {"done": 1}
    assert len(service.sent) == 1


def test_a_fresh_link_is_had_again_when_the_last_one_expired_during_a_pause(theatre: Theatre) -> None:
    """Links that hold for a short while are asked for at every try, so that a long video still comes."""
    service = ends_with("old", "new", "newer")
    expires = {"old": [EXPIRED], "new": [CUT, EXPIRED], "newer": [CUT, None]}
    store = FakeStore(on_fetch=lambda _n, url, _output: expires[url.split("/")[3]].pop(0))
    assert theatre.run(jobs(1), service, store).exit_code == 0
    assert [url.split("/")[3] for _, url, _ in store.tried] == ["old", "new", "new", "newer", "newer"]


def test_fresh_links_have_an_end_when_every_one_breaks_off_and_expires(theatre: Theatre) -> None:
    """Each try of a video has one fresh link: a host that breaks off every time is given up after all tries."""
    links = [f"l{number}" for number in range(50)]
    store = FakeStore(on_fetch=lambda number, *_: EXPIRED if number % 2 else CUT)
    played = theatre.run(jobs(1), ends_with(*links), store, download_tries=5)
    assert played.counts == {"failed": 1}
    assert len(store.tried) == 10


def test_the_question_is_repeated_when_no_fresh_link_can_be_had_now(theatre: Theatre) -> None:
    """A failed question about a link counts as a broken try of the download, and the next one may succeed."""
    answers: list[TaskReport | Trouble] = [success("t1-j1", 1, "old"), TransientError("504"), success("t1-j1", 0)]
    service = FakeService(
        on_status=lambda number, job_id: answers[number - 1] if number <= 3 else success("t1-j1", 1, "new")
    )
    played = theatre.run(jobs(1), service, expired("old"))
    assert played.exit_code == 0
    assert [event.call for event in played.all(CallFailed)] == ["download", "download"]


def test_no_other_tasks_link_is_used_when_the_answer_about_a_fresh_one_is_about_another_task(theatre: Theatre) -> None:
    """The video of another task never comes under this job's name."""
    theirs = replace(success("t9-j9", 1, "theirs"), task_id="t9-j9")
    links = {1: success("t1-j1", 1, "old"), 2: theirs, 3: success("t1-j1", 1, "new")}
    store = expired("old")
    played = theatre.run(jobs(1), FakeService(on_status=lambda number, _: links[number]), store)
    assert played.counts == {"done": 1}
    assert not any("theirs" in url for _, url, _ in store.tried)


def test_the_service_is_asked_again_when_it_forgets_the_task_for_a_moment(theatre: Theatre) -> None:
    """One answer "no such task" does not give up a video that is paid for."""
    gone = RejectedError("no such task", http_status=404)
    links = {1: success("t1-j1", 1, "old"), 2: gone, 3: success("t1-j1", 1, "new")}
    played = theatre.run(jobs(1), FakeService(on_status=lambda number, _: links[number]), expired("old"))
    assert (played.exit_code, played.counts) == (0, {"done": 1})


def test_the_failure_is_final_when_the_service_no_longer_has_the_task(theatre: Theatre) -> None:
    """A video that is gone at the service itself is not looked for again, and is bought anew only on request."""
    gone = RejectedError("no such task", http_status=404)
    service = FakeService(on_status=lambda number, job_id: success(f"t1-{job_id}", 1, "old") if number == 1 else gone)
    store = expired("old")
    played = theatre.run(jobs(1), service, store)
    assert played.counts == {"failed": 1}
    assert theatre.results()[0]["error"]["code"] == "link_gone"
    assert service.questions["j1"] == 6
    again = theatre.run(jobs(1), service, store)
    assert again.counts == {"failed": 1}
    assert len(store.tried) == 1
    bought = theatre.run(jobs(1), FakeService(), FakeStore(), retry_failed=True)
    assert bought.counts == {"done": 1}
    assert theatre.record("j1").attempt == 2


def test_an_old_part_is_discarded_when_the_run_that_bought_again_ended_during_its_download(theatre: Theatre) -> None:
    """What lies at the output of a second attempt may be of the first one's task, however many runs ago that was."""
    failed = TaskReport(TaskState.FAILED, "Failure", error_message="it failed")
    theatre.run(jobs(1), FakeService(on_status=lambda *_: failed))
    slow, stop = FakeStore(takes=100.0), {20.0: lambda batch: batch.go_home(SIGNAL, grace=0.0)}
    assert theatre.run(jobs(1), FakeService(), slow, retry_failed=True, at=stop).counts == {"fetching": 1}
    store = FakeStore()
    assert theatre.run(jobs(1), FakeService(), store).counts == {"done": 1}
    assert store.discarded == ["j1.mp4"]


def test_the_job_fails_for_now_when_what_is_served_is_no_video(theatre: Theatre) -> None:
    """A web page instead of a video is not tried again in this run."""
    web_page = UnusableResultError("it is a web page", code="not_a_video")
    store = FakeStore(on_fetch=lambda *_: web_page)
    played = theatre.run(jobs(1), FakeService(), store)
    assert played.exit_code == 1
    assert theatre.results()[0]["error"]["code"] == "not_a_video"
    assert len(store.tried) == 1


def test_submitting_stops_when_the_disk_takes_no_more(theatre: Theatre) -> None:
    """A full disk is this machine's fault: nothing more is bought, and what is paid for waits for the next run."""
    full = NoSpaceError("no space is left for videos")
    service, store = FakeService(), FakeStore(on_fetch=lambda *_: full)
    played = theatre.run(jobs(6), service, store, concurrency=2)
    assert played.stops == ["disk"]
    assert played.exit_code == 3
    sent = len(service.sent)
    assert played.counts == {"fetching": sent, "queued": 6 - sent}
    assert sent < 6
    store.on_fetch = first()
    assert theatre.run(jobs(6), service, store, concurrency=2).counts == {"done": 6}
    assert len(service.sent) == 6


def test_no_more_downloads_run_at_once_than_are_allowed(theatre: Theatre) -> None:
    """With two downloaders the third video waits until one of the first two is whole."""
    service, store = FakeService(duration=1.0), FakeStore(takes=100.0)
    theatre.run(jobs(6), service, store, concurrency=6, downloads=2)
    starts = [at for at, _, _ in store.tried]
    waits = [later - earlier for earlier, later in zip(starts, starts[2:], strict=False)]
    assert min(waits) == pytest.approx(100.0)


def test_other_videos_are_fetched_when_a_host_asks_for_pauses(theatre: Theatre) -> None:
    """Nobody waits beside a host that broke off: one downloader brings five videos during the pause of the first."""
    slow = InterruptedDownloadError("busy", code="http_503", retry_after=50.0)
    store = FakeStore(on_fetch=lambda number, _url, output: slow if (number, output) == (1, "j1.mp4") else None)
    theatre.run(jobs(6), FakeService(duration=1.0), store, concurrency=6, downloads=1)
    outputs = [output for _, _, output in store.tried]
    assert sorted(outputs[1:-1]) == [f"j{number}.mp4" for number in range(2, 7)]
    assert (outputs[0], outputs[-1]) == ("j1.mp4", "j1.mp4")
    assert store.tried[-1][0] - store.tried[0][0] == pytest.approx(51.0)


def test_a_part_is_gone_on_with_when_its_task_is_a_second_attempt(theatre: Theatre) -> None:
    """What an earlier attempt left is discarded before the first try alone, not what the try before brought."""
    service = FakeService(on_status=lambda *_: TaskReport(TaskState.FAILED, "Failure", error_message="it failed"))
    theatre.run(jobs(1), service)
    store = FakeStore(on_fetch=first(CUT, CUT))
    again = theatre.run(jobs(1), FakeService(), store, retry_failed=True)
    assert again.counts == {"done": 1}
    assert (len(store.tried), store.discarded) == (3, ["j1.mp4"])


def test_a_bug_fails_one_download_and_is_seen_at_the_end(theatre: Theatre) -> None:
    """The others get their videos, the run ends by the bug itself, and the next one tries the video again, unpaid."""
    bug = OverflowError("date value out of range")
    service = FakeService()
    store = FakeStore(on_fetch=lambda _n, _url, output: bug if output == "j2.mp4" else None)
    for _ in range(2):
        played = theatre.run(jobs(4), service, store, concurrency=1)
        assert isinstance(played.error, BaseExceptionGroup)
        assert played.error.exceptions == (bug,)
        assert [theatre.record(f"j{number}").state for number in (1, 2, 3, 4)] == ["done", "failed", "done", "done"]
        error = theatre.results()[-1]["error"] or theatre.results()[1]["error"]
        assert (error["code"], error["message"]) == ("bug", "a bug of ours: OverflowError: date value out of range")
    assert theatre.run(jobs(4), service, FakeStore()).counts == {"done": 4}
    assert len(service.sent) == 4


@pytest.mark.parametrize(("bugs", "sent"), [(9, 30), (30, 11)])
def test_no_more_is_bought_when_bugs_keep_videos_from_coming(theatre: Theatre, bugs: int, sent: int) -> None:
    """Nine bugs are nine videos' bad luck; ten are a reason to buy nothing more, and what runs is collected."""
    store = FakeStore(on_fetch=lambda _n, _url, output: KeyError("x") if int(output[1:-4]) <= bugs else None)
    service = FakeService()
    played = theatre.run(jobs(30), service, store, concurrency=1)
    assert played.summary is None
    assert len(service.sent) == sent


class WritingDesk:
    """A desk that takes for ever to write down that a job is done."""

    def __init__(self) -> None:
        self.writing = asyncio.Event()
        self.left: list[str] = []

    async def downloaded(self, _record: Record, _files: tuple[StoredFile, ...]) -> None:
        self.writing.set()
        await asyncio.Event().wait()

    async def download_failed(self, _record: Record, _failure: Failure, *, final: bool) -> None:
        await self.downloaded(_record, ())

    def leave(self, record: Record, _reason: str) -> None:
        self.left.append(record.job.job_id)


@pytest.mark.parametrize("trouble", [None, UnusableResultError("it is a web page", code="not_a_video")])
def test_a_download_is_counted_once_when_its_end_is_being_written_while_the_run_ends(trouble: Trouble) -> None:
    """A downloader that is sent home meanwhile leaves nothing behind: the end is on its way to the ledger."""

    async def story() -> tuple[int, list[str]]:
        health, desk = Health(HealthRules(0, 100)), WritingDesk()
        downloaders = Downloaders(
            FakeService(),
            FakeStore(on_fetch=lambda *_: trouble),
            cast("Desk", desk),
            health,
            Account(Pace(1, rps=None, longest_pause=60.0, backoff=Backoff()), LoopClock()),
            backoff=Backoff(),
            rules=FetchRules(),
        )
        downloaders.fetch(Record(jobs(1)[0], JobState.FETCHING, 1, Task("t", "h"), success("t")))
        at_work = asyncio.create_task(downloaders.run())
        await desk.writing.wait()
        at_work.cancel()
        await asyncio.wait([at_work])
        return health.backlog, desk.left

    assert play(story()) == (0, [])

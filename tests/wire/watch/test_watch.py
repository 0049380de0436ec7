"""The live page over real HTTP on loopback: who gets what, and what nobody gets."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pipeline.core.errors import UsageError
from pipeline.core.jobs import LocalFile, MediaForm
from pipeline.views.watch import Watch
from pipeline.views.watch.feed import Feed
from tests.told import Telling, a_job, many_jobs

OFTEN = 0.02
PATIENCE = 20


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that any number of connections can be made with."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as made:
        yield made


async def after_of(session: aiohttp.ClientSession, url: str) -> str:
    """The step that a page is as of."""
    async with session.get(url) as answer:
        found = re.search(r'"after":"([^"]+)"', await answer.text())
    assert found
    return found[1]


def put(path: Path, content: bytes) -> None:
    """Another file in the place of one, in a single step."""
    beside = path.with_name("beside")
    beside.write_bytes(content)
    beside.replace(path)


class Listener:
    """A client of the events."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def next(self, wanted: str = "news") -> dict[str, Any]:
        """The data of the next event of a kind."""
        kind = ""
        async with asyncio.timeout(PATIENCE):
            async for raw in self._answer.content:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind == wanted:
                    return dict(json.loads(value))
        raise AssertionError(f"the stream ended without {wanted}")

    async def ids(self) -> list[str]:
        """The jobs of the next news."""
        return [job["id"] for job in (await self.next())["jobs"]]


async def test_only_what_changed_is_told_when_a_run_goes_on(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """A page that is open hears of one job when one has moved; who was away hears what was missed, and no more."""
    told = Telling(tmp_path, many_jobs(5))
    async with Watch(tmp_path, every=OFTEN) as watch:
        events = f"{watch.url}events?after={await after_of(session, watch.url)}"
        async with session.get(events) as answer:
            listener = Listener(answer)
            told.running("shot-00001", 1)
            news = await listener.next()
            while [job["state"] for job in news["jobs"]] != ["running"]:  # a look may fall between its two steps
                assert {job["id"] for job in news["jobs"]} <= {"shot-00001"}
                news = await listener.next()
            assert [job["id"] for job in news["jobs"]] == ["shot-00001"]
            assert news["figures"]["counts"]["running"] == 1
        known = await after_of(session, watch.url)
        told.failed("shot-00002", 2)
        told.done("shot-00004", 3)
        async with session.get(events, headers={"Last-Event-ID": known}) as answer:
            listener, heard = Listener(answer), set[str]()
            while heard != {"shot-00002", "shot-00004"}:
                heard |= set(await listener.ids())
    told.close()


async def test_no_job_is_missed_when_a_clock_goes_back(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """A job that moved at an earlier time than one that is known already is told all the same, and rows may go."""
    told = Telling(tmp_path, many_jobs(5))
    told.running("shot-00001", 1000)
    async with Watch(tmp_path, every=OFTEN) as watch:
        after = await after_of(session, watch.url)
        async with session.get(f"{watch.url}events?after={after}") as answer:
            listener = Listener(answer)
            told.lost("shot-00002", 1)
            heard = await listener.ids()
            while "shot-00002" not in heard:
                heard += await listener.ids()
            assert set(heard) == {"shot-00002"}
            told.connection.execute("DELETE FROM jobs WHERE job_id = 'shot-00004'")
            await listener.next("anew")
    told.close()


async def test_charts_follow_when_jobs_end(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """They are counted anew now and then, and told as a whole."""
    told = Telling(tmp_path, many_jobs(2))
    async with Watch(tmp_path, every=OFTEN) as watch:
        after = await after_of(session, watch.url)
        async with session.get(f"{watch.url}events?after={after}") as answer:
            told.failed("shot-00000", 1)
            charts = await Listener(answer).next("charts")
            while not charts["failures"]:
                charts = await Listener(answer).next("charts")
    assert charts["failures"] == [{"stage": "generate", "code": "generationfailed", "count": 1}]
    told.close()


async def test_the_page_waits_when_there_is_no_batch_yet(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """It is served at once, and asks to be loaded anew when the first run has begun; then everything is there."""
    folder = tmp_path / "outputs/shots"
    async with Watch(folder, every=OFTEN) as watch:
        async with session.get(f"{watch.url}events?after={await after_of(session, watch.url)}") as answer:
            told = Telling(folder, many_jobs(3))
            await Listener(answer).next("anew")
        async with session.get(watch.url) as answer:
            text = await answer.text()
        assert text.count('"id":"shot-') == 3
        told.close(at=1)
    assert not list(folder.glob("report*"))


async def test_everybody_hears_the_same_when_many_look(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """A hundred clients are told at once; those that go away leave nothing behind."""
    told = Telling(tmp_path, many_jobs(1))
    async with Watch(tmp_path, every=OFTEN) as watch:
        events = f"{watch.url}events?after={await after_of(session, watch.url)}"
        before = len(asyncio.all_tasks())
        answers = [await session.get(events) for _ in range(100)]
        told.done("shot-00000", 1)

        async def heard(answer: aiohttp.ClientResponse) -> None:
            listener = Listener(answer)
            while (await listener.next())["figures"]["counts"]["done"] == 0:
                pass

        await asyncio.gather(*map(heard, answers))
        for answer in answers:
            answer.close()
        async with asyncio.timeout(PATIENCE):
            while len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0)
    told.close()


async def test_a_stream_ends_when_the_server_does(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """Nobody is kept waiting by a page that is still open."""
    Telling(tmp_path, many_jobs(1)).close(at=1)
    async with Watch(tmp_path, every=OFTEN) as watch:
        answer = await session.get(f"{watch.url}events?after={await after_of(session, watch.url)}")
    async with asyncio.timeout(PATIENCE):
        await answer.read()


async def test_it_goes_on_when_the_ledger_cannot_be_read_for_a_while(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """The page says why, also to who comes later, keeps what it knows, and follows again as soon as it can."""
    told = Telling(tmp_path, many_jobs(2))
    told.done("shot-00000", 1)
    told.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    told.close(at=100)
    ledger = tmp_path / "ledger.sqlite3"
    whole = ledger.read_bytes()
    async with Watch(tmp_path, every=OFTEN) as watch:
        after = await after_of(session, watch.url)
        async with session.get(f"{watch.url}events?after={after}") as answer:
            listener = Listener(answer)
            put(ledger, b"no ledger" * 1000)
            news = await listener.next()
            while not news["trouble"]:
                news = await listener.next()
            assert "is damaged" in news["trouble"]
            assert news["figures"]["counts"]["done"] == 1
            async with session.get(f"{watch.url}events?after={await after_of(session, watch.url)}") as later:
                assert "is damaged" in (await Listener(later).next())["trouble"]
            put(ledger, whole)
            while news["trouble"]:
                news = await listener.next()
            assert news["figures"]["counts"]["done"] == 1


async def test_a_bug_is_shown_when_a_job_cannot_be_told(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """Watching goes on, and the page says what is wrong."""
    told = Telling(tmp_path, many_jobs(2))
    async with Watch(tmp_path, every=OFTEN) as watch:
        after = await after_of(session, watch.url)
        async with session.get(f"{watch.url}events?after={after}") as answer:
            listener = Listener(answer)
            told.connection.execute("""UPDATE jobs SET spec = '{"model": 1}', moved_at = moved_at + 1 WHERE seq = 1""")
            news = await listener.next()
            while not news["trouble"]:
                news = await listener.next()
            assert "a bug: ValidationError" in news["trouble"]
        async with session.get(watch.url) as page:
            assert page.status == 200
    told.close()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "", "localhost"])
async def test_a_request_is_refused_when_it_was_meant_for_another_name(
    tmp_path: Path, session: aiohttp.ClientSession, host: str
) -> None:
    """A name of somebody else's that leads to this machine opens nothing; the machine's own names do."""
    Telling(tmp_path, many_jobs(1)).close(at=1)
    async with Watch(tmp_path, every=OFTEN) as watch:
        port = watch.url.rsplit(":", 1)[1].strip("/")
        for path in ("", "events", "video/1/0"):
            async with session.get(watch.url + path, headers={"Host": host.format(port=port)}) as answer:
                assert answer.status == 421
                assert "shot" not in await answer.text()
        async with session.get(watch.url, headers={"Host": f"localhost:{port}"}) as answer:
            assert answer.status == 200


async def test_nothing_can_be_changed_when_somebody_tries(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """There is nothing to send to, and the page may not be framed, cached or guessed at."""
    Telling(tmp_path, many_jobs(1)).close(at=1)
    async with Watch(tmp_path, every=OFTEN) as watch:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with session.request(method, watch.url) as answer:
                assert answer.status == 405
        async with session.get(watch.url) as answer:
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_video_is_served_in_parts_when_a_browser_seeks(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """Videos and local pictures that the ledger names come whole or in ranges, as what they are."""
    picture = tmp_path / "p.png"
    picture.write_bytes(b"\x89PNG picture")
    named = LocalFile("input.first_frame_url", str(picture), "ab", 12, "image/png", MediaForm.DATA_URI)
    folder = tmp_path / "out"
    told = Telling(folder, [a_job("a", files=(named,)), a_job("b")])
    told.done("a", 1)
    told.close(at=100)
    (folder / "videos").mkdir()
    (folder / "videos/a.mp4").write_bytes(bytes(range(100)))
    async with Watch(folder, every=OFTEN) as watch:
        async with session.get(f"{watch.url}video/1/0", headers={"Range": "bytes=10-19"}) as answer:
            assert (answer.status, await answer.read()) == (206, bytes(range(10, 20)))
            assert answer.headers["Content-Range"] == "bytes 10-19/100"
            assert answer.headers["Content-Type"] == "video/mp4"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
        async with session.get(f"{watch.url}picture/1/0") as answer:
            assert (await answer.read(), answer.headers["Content-Type"]) == (b"\x89PNG picture", "image/png")
        for missing in ("video/1/1", "video/2/0", "video/3/0", "video/0/0", "picture/2/0", "video/999999999999999/0"):
            async with session.get(f"{watch.url}{missing}") as answer:
                assert answer.status == 404
        picture.write_bytes(b"another picture in its place")
        async with session.get(f"{watch.url}picture/1/0") as answer:
            assert answer.status == 404


@pytest.mark.parametrize(
    "path",
    ["videos/../../secret.mp4", "secret.mp4", "ledger.sqlite3", "videos/link.mp4", "videos/circle.mp4", "videos"],
)
async def test_no_other_file_is_served_when_the_ledger_names_one(
    tmp_path: Path, session: aiohttp.ClientSession, path: str
) -> None:
    """Only what lies in `videos/` is a video, wherever a name or a link would lead."""
    folder = tmp_path / "out"
    told = Telling(folder, [a_job("a")])
    told.done("a", 1, file=path)
    told.close(at=100)
    (folder / "videos").mkdir()
    for secret in (tmp_path / "secret.mp4", folder / "secret.mp4"):
        secret.write_bytes(b"secret")
    (folder / "videos/link.mp4").symlink_to(tmp_path / "secret.mp4")
    (folder / "videos/circle.mp4").symlink_to("circle.mp4")
    async with Watch(folder, every=OFTEN) as watch, session.get(f"{watch.url}video/1/0") as answer:
        assert answer.status == 404
        assert "secret" not in await answer.text()


@pytest.mark.parametrize(
    "path",
    [
        "/../ledger.sqlite3",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/video/../ledger.sqlite3",
        "/video/1/0/..",
        "/video/-1/0",
        "/video/1%2f0",
    ],
)
async def test_no_path_leads_out_when_somebody_writes_one(tmp_path: Path, path: str) -> None:
    """The server knows numbers, and no paths at all."""
    Telling(tmp_path, many_jobs(1)).close(at=1)
    async with Watch(tmp_path, every=OFTEN) as watch:
        host, port = watch.url.removeprefix("http://").strip("/").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.split()[1] in {b"404", b"400"}
    assert b"SQLite" not in answer


async def test_the_second_look_comes_soon_when_the_first_one_took_long(tmp_path: Path) -> None:
    """Reading a large batch for the first time is no measure of the looks that follow, which read what has changed."""

    class Slow(Feed):
        looks = 0
        again = asyncio.Event()

        async def look(self) -> None:
            self.looks += 1
            if self.looks == 1:
                over = asyncio.Event()
                asyncio.get_running_loop().call_later(0.5, over.set)
                await over.wait()
            else:
                self.again.set()

    feed = Slow(tmp_path, OFTEN)
    reading = asyncio.create_task(feed.keep_reading())
    async with asyncio.timeout(4):
        await feed.again.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_it_is_said_when_the_port_is_taken(tmp_path: Path) -> None:
    """One sentence with the mend, and nothing is left open."""
    async with Watch(tmp_path, every=OFTEN) as watch:
        port = int(watch.url.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(UsageError, match=f"port {port} cannot be used: .*--port"):
            async with Watch(tmp_path, port=port):
                pass

"""The emulator over real HTTP: the result files, and the clips in them."""

import base64
import io
from collections.abc import Mapping

import aiohttp
import av
import pytest
from PIL import Image, ImageChops, ImageStat
from yarl import URL

from pipeline.emulator import Emulator, Scenario, Trouble

KEY = {"Authorization": "Bearer any"}
QUICK = {"median_seconds": 1.0, "spread": 0.0}
TINY = QUICK | {"clips": "tiny"}


class FixedClock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1_760_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Guest:
    """An emulator with a clock, one finished task and a client that uses its links as given."""

    def __init__(self, scenario: Scenario) -> None:
        self.clock = FixedClock()
        self.emulator = Emulator(scenario, clock=self.clock)

    async def __aenter__(self) -> "Guest":
        await self.emulator.__aenter__()
        self.session = aiohttp.ClientSession(requote_redirect_url=False)
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.session.close()
        await self.emulator.__aexit__(None, None, None)

    async def submit(self, picture: str = "https://example.com/a.jpg", prompt: str = "waves", **parameters) -> str:
        body = {
            "model": "Wan-AI/Wan2.2-I2V",
            "input": {"image_url": picture, "prompt": prompt},
            "parameters": parameters,
        }
        async with self.session.post(f"{self.emulator.base_url}/v1/tasks/submit", json=body, headers=KEY) as answer:
            task_id = (await answer.json())["output"]["task_id"]
        self.clock.now += 1
        return task_id

    async def urls(self, task_id: str) -> list[str]:
        url = f"{self.emulator.base_url}/v1/tasks/status?task_id={task_id}"
        async with self.session.get(url, headers=KEY) as answer:
            return (await answer.json())["output"]["urls"]

    async def url(self, **parameters) -> str:
        return (await self.urls(await self.submit(**parameters)))[0]

    async def get(self, url: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(URL(url, encoded=True), headers=names, max_redirects=4) as answer:
            return answer.status, await answer.read(), answer.headers


def frames_of(content: bytes) -> tuple[str, list[Image.Image]]:
    with av.open(io.BytesIO(content)) as container:
        codec = container.streams.video[0].codec_context.name
        return codec, [frame.to_image() for frame in container.decode(video=0)]


def difference(first: Image.Image, second: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(first, second)).mean)


async def test_file_is_a_whole_video_when_it_is_downloaded():
    """The tiny clip is well-formed H.264, announced by length and strong validator, and needs no key."""
    async with Guest(Scenario(**TINY)) as guest:
        status, content, headers = await guest.get(await guest.url())
        assert (status, headers["Content-Length"], headers["Accept-Ranges"]) == (200, str(len(content)), "bytes")
        assert headers["ETag"].startswith('"')
        assert content[4:8] == b"ftyp"
        codec, frames = frames_of(content)
        assert (codec, len(frames)) == ("h264", 36)
        assert guest.emulator.statistics().leaked_keys == 0


async def test_download_goes_on_when_a_range_is_asked_for():
    """The same bytes come in parts, guarded by the validator; a start beyond the end is a 416."""
    async with Guest(Scenario(**TINY)) as guest:
        url = await guest.url()
        _, whole, headers = await guest.get(url)
        status, part, found = await guest.get(url, Range="bytes=1000-", If_Range=headers["ETag"])
        assert (status, part) == (206, whole[1000:])
        assert found["Content-Range"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"
        assert (await guest.get(url, Range="bytes=1000-", If_Range='"other"'))[:2] == (200, whole)
        status, part, found = await guest.get(url, Range=f"bytes={len(whole)}-")
        assert (status, part, found["Content-Range"]) == (416, b"", f"bytes */{len(whole)}")


async def test_link_is_signed_again_when_it_has_expired():
    """An expired link is a 403; the next status answer brings one that works."""
    async with Guest(Scenario(link_seconds=60, **TINY)) as guest:
        task_id = await guest.submit()
        old = (await guest.urls(task_id))[0]
        guest.clock.now += 59
        assert (await guest.get(old))[0] == 200
        guest.clock.now += 1
        assert (await guest.get(old))[0] == 403
        assert (await guest.get((await guest.urls(task_id))[0]))[0] == 200


async def test_link_is_refused_when_it_is_not_used_verbatim():
    """A signed URL opens only as it was given."""
    async with Guest(Scenario(**TINY)) as guest:
        url = await guest.url()
        assert (await guest.get(url))[0] == 200
        assert (await guest.get(url.replace("%3D", "=")))[0] == 403
        assert (await guest.get(url.partition("?")[0]))[0] == 403
        assert (await guest.get(f"{guest.emulator.results_url}/output/none.mp4"))[0] == 404


async def test_leak_is_counted_when_a_key_arrives():
    """The result host serves a request that carries a key, and the statistics tell."""
    async with Guest(Scenario(**TINY)) as guest:
        assert (await guest.get(await guest.url(), Authorization="Bearer any"))[0] == 200
        assert guest.emulator.statistics().leaked_keys == 1


@pytest.mark.parametrize(
    ("do", "status"), [("expired", 403), ("missing", 404), ("gone", 410), ("unavailable", 503), ("html", 200)]
)
async def test_file_is_refused_as_scripted_when_a_rule_meets_the_first_try(do, status):
    """The first request meets the trouble; the next has the video."""
    async with Guest(Scenario(trouble=(Trouble(at="download", do=do, first=1),), **TINY)) as guest:
        url = await guest.url()
        found, content, headers = await guest.get(url)
        assert (found, headers["Content-Type"]) == (status, "text/html")
        assert content.startswith(b"<html>")
        assert (await guest.get(url))[1][4:8] == b"ftyp"


@pytest.mark.parametrize("rule", [{"do": "cut", "bytes": 500}, {"do": "wrong_length", "bytes": 9}])
async def test_transfer_breaks_off_when_it_is_cut_or_its_length_is_wrong(rule):
    """Fewer bytes than announced end in a closed connection, and the rest can be fetched."""
    async with Guest(Scenario(trouble=(Trouble(at="download", first=1, **rule),), **TINY)) as guest:
        url = await guest.url()
        async with guest.session.get(URL(url, encoded=True)) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        assert (await guest.get(url, Range="bytes=500-"))[0] == 206


async def test_connection_closes_when_a_download_is_dropped():
    """A dropped download has not even a status."""
    async with Guest(
        Scenario(trouble=(Trouble(at="download", do="drop", first=2),), **TINY)
    ) as guest:  # aiohttp tries a GET twice
        url = await guest.url()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await guest.get(url)
        assert (await guest.get(url))[0] == 200


async def test_file_starts_anew_when_it_has_changed_between_two_tries():
    """Another version has another validator, so that a guarded range brings the whole new file."""
    rules = (Trouble(at="download", do="cut", bytes=500, nth=(1,)), Trouble(at="download", do="change"))
    async with Guest(Scenario(trouble=rules, **TINY)) as guest:
        url = await guest.url()
        async with guest.session.get(URL(url, encoded=True)) as answer:
            etag = answer.headers["ETag"]
        status, content, headers = await guest.get(url, Range="bytes=500-", If_Range=etag)
        assert (status, content[4:8]) == (200, b"ftyp")
        assert headers["ETag"] != etag


async def test_file_is_elsewhere_when_a_rule_redirects():
    """A redirect leads to the same file; a loop never ends."""
    async with Guest(Scenario(trouble=(Trouble(at="download", do="redirect"),), **TINY)) as guest:
        status, content, _ = await guest.get(await guest.url())
        assert (status, content[4:8]) == (200, b"ftyp")
    async with Guest(Scenario(trouble=(Trouble(at="download", do="redirect_loop"),), **TINY)) as guest:
        with pytest.raises(aiohttp.TooManyRedirects):
            await guest.get(await guest.url())


async def test_bytes_are_slow_when_a_rule_says_so():
    """Some bytes come, the rest takes its time, and the emulator ends without waiting for it."""
    async with (
        Guest(Scenario(trouble=(Trouble(at="download", do="slow", rate=2000),), **TINY)) as guest,
        guest.session.get(URL(await guest.url(), encoded=True)) as answer,
    ):
        assert await answer.content.readany()
        assert not answer.content.at_eof()


async def test_files_differ_when_a_task_has_several():
    """Each file of a task, and each task's file, is its own."""
    async with Guest(Scenario(trouble=(Trouble(at="task", do="several", nth=(1,)),), **TINY)) as guest:
        urls = [*(await guest.urls(await guest.submit())), await guest.url()]
        assert len({(await guest.get(url))[1] for url in urls}) == len(urls) == 3


async def test_clip_moves_over_the_picture_when_it_is_rendered():
    """The clip is real H.264 of the size asked for, index in front, begins with the picture and ends elsewhere."""
    source = Image.merge("RGB", [Image.linear_gradient("L").rotate(turn) for turn in (0, 90, 180)]).resize((1000, 700))
    target = io.BytesIO()
    source.save(target, "PNG")
    picture = "data:image/png;base64," + base64.b64encode(target.getvalue()).decode()
    async with Guest(Scenario(**QUICK)) as guest:
        url = await guest.url(picture=picture, prompt="the camera pans left", resolution="480P")
        _, content, _ = await guest.get(url)
        assert 0 < content.find(b"moov") < content.find(b"mdat")
        codec, frames = frames_of(content)
        assert (codec, len(frames), frames[0].size) == ("h264", 72, (832, 480))
        assert difference(frames[0], frames[-1]) > 10
        assert (await guest.get(url))[1] == content

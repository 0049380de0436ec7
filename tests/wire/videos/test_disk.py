"""The disk's side: full, gone, in the way, or cancelled in the middle of a write."""

import asyncio
import os
import resource
import threading

import pytest

from pipeline.core.clock import SystemClock
from pipeline.core.errors import FolderError, InterruptedDownloadError, NoSpaceError, UnusableResultError
from pipeline.core.jobs import StoredFile
from pipeline.videos import LocalVideoStore, partfile


@pytest.fixture
def largest_file():
    """Lets this process write no file beyond the given size, which meets a write like a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [800_000, 5_000_000])
async def test_bytes_are_kept_when_the_disk_is_full(host, store, video, largest_file, part_bytes, is_whole, size):
    """Without space the download ends as the machine's fault; with space again it goes on and joins rightly."""
    body = video(size)
    host.will(host.resumes(body))
    largest_file(size // 2)
    with pytest.raises(NoSpaceError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "no_space"
    assert part_bytes() == body[: size // 2]
    largest_file(resource.RLIM_INFINITY)
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)
    assert host.requests[-1].header("Range") == f"bytes={size // 2}-"


class CountingClock(SystemClock):
    """Tells how often the store has looked at it: before and after each read from the host."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return super().monotonic()


@pytest.mark.parametrize("sent", [600, 100_000, (1 << 20) + 100_000])
async def test_bytes_are_kept_when_the_download_is_cancelled_mid_read(
    host, tmp_path, settings, video, part_bytes, is_whole, sent
):
    """A stop in the middle of a transfer leaves a part that the next run goes on from."""
    body, clock, ended = video(3_000_000), CountingClock(), asyncio.Event()

    async def script(request, reply):
        await reply.head("200 OK", "Content-Length: 3000000", 'ETag: "v1"')
        await reply.send(body[:sent])
        await ended.wait()

    host.will(script)
    async with LocalVideoStore(tmp_path, settings, clock) as store:
        fetching = asyncio.create_task(store.fetch(f"{host.url}/a", "a.mp4"))
        while clock.looks < 3:
            await asyncio.sleep(0)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        kept = part_bytes()
        assert kept
        assert body[:sent].startswith(kept)
        host.will(host.resumes(body))
        assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)
    assert host.requests[-1].header("Range") == f"bytes={len(kept)}-"


class SlowDisk:
    """Holds every write until it is let go, like a disk that is busy."""

    def __init__(self, monkeypatch):
        self.reached, self.go_on = threading.Event(), threading.Event()
        monkeypatch.setattr(partfile, "_write_all", self._slow_write)

    def _slow_write(self, descriptor, buffers):
        self.reached.set()
        assert self.go_on.wait(10)
        os.fstat(descriptor)  # fails if somebody closed the file under the write
        for buffer in buffers:
            assert os.write(descriptor, buffer) == len(buffer)


async def test_write_is_finished_before_the_file_closes_when_the_download_is_cancelled_mid_write(
    host, store, video, monkeypatch, part_bytes, is_whole
):
    """A cancellation, even a repeated one, waits for the block in flight: no write meets a closed file."""
    body, disk = video(3_000_000), SlowDisk(monkeypatch)
    host.will(host.resumes(body))
    fetching = asyncio.create_task(store.fetch(f"{host.url}/a", "a.mp4"))
    await asyncio.to_thread(disk.reached.wait)
    for _ in range(3):
        fetching.cancel()
        done, _pending = await asyncio.wait([fetching], timeout=0.01)
        assert not done
    disk.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    kept = part_bytes()
    assert len(kept) >= 1 << 20
    assert body.startswith(kept)
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)


async def test_cancellation_is_not_lost_when_the_disk_fails_at_the_same_time(
    host, store, video, largest_file, part_bytes
):
    """Whoever cancels is answered with the cancellation, not with the disk's complaint."""
    body, waiting, ended = video(900_000), asyncio.Event(), asyncio.Event()

    async def script(request, reply):
        await reply.head("200 OK", "Content-Length: 900000", 'ETag: "v1"')
        await reply.send(body[:500_000])
        waiting.set()
        await ended.wait()

    host.will(script)
    largest_file(100_000)
    fetching = asyncio.create_task(store.fetch(f"{host.url}/a", "a.mp4"))
    await waiting.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    ended.set()


@pytest.mark.parametrize("moment", range(0, 60, 3))
async def test_download_can_be_cancelled_at_any_step_when_it_is_tried_again_it_is_whole(
    host, store, video, is_whole, moment
):
    """Wherever the cancellation falls, the final name holds nothing or the whole, and the next try succeeds."""
    body = video(2_200_000)
    host.will(host.resumes(body))
    fetching = asyncio.create_task(store.fetch(f"{host.url}/a", "a.mp4"))
    for _ in range(moment):
        await asyncio.sleep(0)
    fetching.cancel()
    await asyncio.wait([fetching])
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)


async def test_second_download_is_turned_away_when_the_output_is_busy(host, store, video, is_whole):
    """Two downloads never write to one part."""
    ended = asyncio.Event()

    async def script(request, reply):
        await reply.head("200 OK", "Content-Length: 500")
        await ended.wait()
        await reply.send(video(500))

    host.will(script)
    first = asyncio.create_task(store.fetch(f"{host.url}/a", "a.mp4"))
    while not host.requests:
        await asyncio.sleep(0)
    with pytest.raises(InterruptedDownloadError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "busy"
    ended.set()
    assert is_whole(await first, video(500))


@pytest.mark.parametrize(
    "output",
    [
        "../a.mp4",
        "x/../../a.mp4",
        "/etc/a.mp4",
        "",
        ".",
        "..",
        ".parts/a",
        ".PARTS/a",
        "a\n.mp4",
        "a\x00",
        "\ud800",
        "y" * 256,
    ],
    ids=lambda output: repr(output[:20]),
)
async def test_output_is_refused_when_no_file_inside_videos_can_be_called_so(host, store, output):
    """A name that leads out, or that no file can have, is refused before anything is asked for."""
    host.will(host.answers("200 OK"))
    with pytest.raises(UnusableResultError) as caught:
        await store.fetch(f"{host.url}/a", output)
    assert caught.value.code == "bad_output"
    assert host.requests == []


async def test_output_is_refused_when_a_link_leads_outside(host, store, video, tmp_path):
    """A linked folder inside videos/ cannot carry a download away, nor make folders elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "link").symlink_to(outside)
    host.will(host.serves(video(500)))
    for output in ("link/a.mp4", "link/deep/a.mp4"):
        with pytest.raises(UnusableResultError) as caught:
            await store.fetch(f"{host.url}/a", output)
        assert caught.value.code == "bad_output"
    assert list(outside.iterdir()) == []


async def test_output_is_refused_when_a_folder_or_a_file_is_in_the_way(host, store, video, tmp_path):
    """A folder under the file's name, or a file under a folder's, is told before the download."""
    (tmp_path / "videos" / "a.mp4").mkdir(parents=True)
    (tmp_path / "videos" / "b").write_bytes(b"")
    host.will(host.serves(video(500)))
    for output in ("a.mp4", "b/c.mp4", "b/c/d.mp4"):
        with pytest.raises(UnusableResultError) as caught:
            await store.fetch(f"{host.url}/a", output)
        assert caught.value.code == "bad_output"
    assert host.requests == []


async def test_videos_may_lie_on_another_disk_when_the_folder_is_a_link(host, store, video, tmp_path, is_whole):
    """The user may link videos/ as a whole to where the space is."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "videos").symlink_to(tmp_path / "elsewhere")
    host.will(host.serves(video(500)))
    assert is_whole(await store.fetch(f"{host.url}/a", "deep/a.mp4"), video(500), "deep/a.mp4")


async def test_link_under_the_final_name_is_replaced_when_the_video_arrives(host, store, video, tmp_path, is_whole):
    """The video takes the name; what the link pointed to stays untouched."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "videos" / "a.mp4").symlink_to(tmp_path / "victim")
    host.will(host.serves(video(500)))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), video(500))
    assert not (tmp_path / "videos" / "a.mp4").is_symlink()
    assert (tmp_path / "victim").read_bytes() == b"precious"


async def test_folder_is_at_fault_when_it_is_gone_or_is_a_file(host, settings, video, tmp_path):
    """Without its output folder no video can be kept: that is no fault of the result."""
    host.will(host.serves(video(500)))
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "videos").write_bytes(b"")
    for folder in ("gone", "blocked"):
        async with LocalVideoStore(tmp_path / folder, settings) as store:
            with pytest.raises(FolderError):
                await store.fetch(f"{host.url}/a", "a.mp4")


async def test_file_is_readable_by_all_when_the_umask_allows(host, store, video, tmp_path):
    """Videos have the mode that other programs' files have."""
    before = os.umask(0o027)
    try:
        host.will(host.serves(video(500)))
        await store.fetch(f"{host.url}/a", "a.mp4")
    finally:
        os.umask(before)
    assert (tmp_path / "videos" / "a.mp4").stat().st_mode & 0o777 == 0o640


async def test_free_space_is_told_when_the_videos_folder_is_not_there_yet(store, settings, tmp_path):
    """The floor under free space is watched before the first video arrives."""
    assert store.free_bytes() > 0
    with pytest.raises(FolderError):
        LocalVideoStore(tmp_path / "gone", settings).free_bytes()


async def test_stored_file_is_verified_when_nothing_has_changed(host, store, video):
    """An untouched file is still what its record says."""
    host.will(host.serves(video(500)))
    assert await store.verify(await store.fetch(f"{host.url}/a", "deep/a.mp4")) is None


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has 499 bytes instead of 500"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"~"), "has other contents than were downloaded"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a regular file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "is not a regular file"),
    ],
)
async def test_stored_file_is_reported_when_it_is_no_longer_what_it_was(host, store, video, tmp_path, harm, words):
    """Every difference to the record is told in words."""
    host.will(host.serves(video(500)))
    stored = await store.fetch(f"{host.url}/a", "a.mp4")
    harm(tmp_path / stored.path)
    assert await store.verify(stored) == words


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "videos/../../x"])
async def test_record_is_reported_when_it_leads_outside(store, path):
    """A record cannot make us read files elsewhere."""
    assert await store.verify(StoredFile(path, 1, "", "")) == "lies outside the output folder"


@pytest.mark.parametrize(
    ("name", "words"),
    [("loop.mp4", "Too many levels of symbolic links"), ("a\x00", "embedded null byte"), ("a/b", "Not a directory")],
)
async def test_file_is_no_difference_when_it_cannot_be_read(store, tmp_path, name, words):
    """What cannot be opened may be whole: it is an error of the folder, and no word about the file."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "videos/a").write_bytes(b"")
    with pytest.raises(FolderError, match=f"^cannot be read: {words}$"):
        await store.verify(StoredFile(f"videos/{name}", 1, "", ""))

"""Which threads a download uses, how often, and whom they cannot hold up."""

import asyncio
import hashlib
import os
import socket
import threading

import pytest

from pipeline.core.clock import SystemClock
from pipeline.core.errors import FolderError, InterruptedDownloadError
from pipeline.core.jobs import Job, Source, TaskState
from pipeline.modelverse.client import ModelVerseClient
from pipeline.settings import FetchSettings, ServiceSettings
from pipeline.videos import Assurance, LocalVideoStore, room
from pipeline.videos.threads import OwnThreads
from tests.wire.servers import ScriptedServer, reply

MIB = 1 << 20


class CountingThreads(OwnThreads):
    """Remembers every hop by the name of what it did, and how many were under way at once."""

    def __init__(self) -> None:
        super().__init__("counted")
        self.hops: list[str] = []
        self.blocks: list[int] = []
        self.most = 0
        self._futures = []

    def start(self, call, *args):
        self.hops.append(call.__name__)
        self._futures = [one for one in self._futures if not one.done()]
        self.most = max(self.most, len(self._futures) + 1)
        if call.__name__ == "append":
            self.blocks.append(sum(map(len, args[0])))
        future = super().start(call, *args)
        self._futures.append(future)
        return future


class Gate:
    """Holds every thread that comes until it is opened."""

    def __init__(self) -> None:
        self.reached, self._open = threading.Event(), threading.Event()

    def open(self) -> None:
        self._open.set()

    def hold(self) -> None:
        self.reached.set()
        assert self._open.wait(10)

    def flush(self, descriptor: int) -> None:
        self.hold()
        os.fsync(descriptor)

    def digest(self) -> "HeldDigest":
        return HeldDigest(self)


class HeldDigest:
    """A SHA-256 whose every block waits at the gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._hash = hashlib.sha256()
        self.hexdigest = self._hash.hexdigest

    def update(self, data: bytes, /) -> None:
        self._gate.hold()
        self._hash.update(data)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def threads():
    counting = CountingThreads()
    yield counting
    counting.close()


@pytest.mark.parametrize("size", [200, 200_000, 2 * MIB])
async def test_body_takes_one_hop_when_it_is_small(host, tmp_path, settings, video, is_whole, threads, size):
    """Before the request a thread looks what is there; then one hop writes, hashes, flushes and renames."""
    host.will(host.serves(video(size)))
    async with LocalVideoStore(tmp_path, settings, threads=threads) as store:
        assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), video(size))
    assert threads.hops == ["prepare", "publish"]


@pytest.mark.parametrize("size", [2 * MIB + 1, 5 * MIB + 100_000])
async def test_body_takes_at_most_a_hop_for_each_mebibyte_when_it_is_large(
    host, tmp_path, settings, video, is_whole, threads, size
):
    """No block is smaller than a MiB, never are two of a file under way, and the last hop publishes."""
    host.will(host.serves(video(size)))
    async with LocalVideoStore(tmp_path, settings, threads=threads) as store:
        assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), video(size))
    assert threads.hops == ["prepare", *["append"] * len(threads.blocks), "publish"]
    assert min(threads.blocks) >= MIB
    assert threads.most == 1


class CountingClock(SystemClock):
    """Tells how often the store has looked at it: before and after each read from the host."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return super().monotonic()


async def test_next_block_is_read_when_the_disk_still_has_the_last_one(
    host, tmp_path, settings, video, is_whole, threads, gate
):
    """The network does not wait for the disk, for one block's length."""
    body, clock, at_the_disk = video(4 * MIB), CountingClock(), asyncio.Event()

    async def script(request, reply):
        await reply.head("200 OK", f"Content-Length: {len(body)}")
        await reply.send(body[: MIB + 1])
        await at_the_disk.wait()
        await reply.send(body[MIB + 1 :])

    host.will(script)
    async with LocalVideoStore(tmp_path, settings, clock, assurance=Assurance(gate.digest), threads=threads) as store:
        fetching = asyncio.create_task(store.fetch(f"{host.url}/a", "a.mp4"))
        await asyncio.to_thread(gate.reached.wait)
        before = clock.looks
        at_the_disk.set()
        while clock.looks < before + 3:
            await asyncio.sleep(0)
        assert threads.hops == ["prepare", "append"]
        gate.open()
        assert is_whole(await fetching, body)


@pytest.mark.parametrize("size", [200_000, 3 * MIB])
async def test_only_a_part_that_may_be_gone_on_with_has_a_validator_when_it_is_flushed(
    host, tmp_path, settings, video, is_whole, gate, size
):
    """A file that comes in one hop leaves nothing to be joined to, not even what an earlier try left beside it."""
    host.will(host.resumes(video(3 * MIB, seed=2), etag='"old"', cut=MIB), host.serves(video(size), 'ETag: "new"'))
    async with LocalVideoStore(tmp_path, settings, assurance=Assurance(flush=gate.flush)) as store:
        with pytest.raises(InterruptedDownloadError):
            await store.fetch(f"{host.url}/a", "a.mp4")
        fetching = asyncio.create_task(store.fetch(f"{host.url}/a", "a.mp4"))
        await asyncio.to_thread(gate.reached.wait)
        beside = list((tmp_path / "videos" / ".parts").glob("*.json"))
        assert [b'"new"' in path.read_bytes().replace(b"\\", b"") for path in beside] == [True] * (size > 2 * MIB)
        gate.open()
        assert is_whole(await fetching, video(size))


async def test_questions_and_submits_are_answered_when_the_disk_hangs(host, tmp_path, settings, video, gate):
    """More downloads than there are threads stand still at the disk; the service is asked and told all the same."""
    host.will(host.serves(video(500)))
    answers = [reply(200, {"output": {"task_id": "t-1", "task_status": "Running"}})]
    job = Job("a", "0" * 64, "Wan-AI/Wan2.2-I2V", {"prompt": "wave"}, {}, "a.mp4", Source("a.csv", 1))
    async with (
        ScriptedServer(answers) as server,
        ModelVerseClient(ServiceSettings(endpoint=server.url), "key") as service,
        LocalVideoStore(tmp_path, settings, assurance=Assurance(flush=gate.flush)) as store,
    ):
        downloads = [asyncio.create_task(store.fetch(f"{host.url}/{n}", f"{n}.mp4")) for n in range(20)]
        await asyncio.to_thread(gate.reached.wait)
        for _ in range(10):
            task = await service.submit(job, await service.prepare(job))
            assert (await service.status(task)).state is TaskState.RUNNING
            assert store.free_bytes() > 0
        assert not any(download.done() for download in downloads)
        gate.open()
        assert [stored.bytes for stored in await asyncio.gather(*downloads)] == [500] * 20


async def test_free_space_is_told_as_last_seen_when_the_disk_does_not_answer(
    tmp_path, settings, gate, threads, monkeypatch
):
    """Whoever asks before a submit hears the last answer at once; a thread asks the disk."""
    now, told = SystemClock(), iter([7, 8])
    monkeypatch.setattr(now, "monotonic", lambda: now.moment, raising=False)
    now.moment = 0.0

    def slow_free(_folder) -> int:
        if now.moment:
            gate.hold()
        return next(told)

    monkeypatch.setattr(room, "free_bytes", slow_free)
    async with LocalVideoStore(tmp_path, settings, now, threads=threads) as store:
        assert store.free_bytes() == 7
        now.moment = 1.0
        assert [store.free_bytes() for _ in range(3)] == [7, 7, 7]
        assert threads.hops == ["_look"]
        gate.open()
        while (seen := store.free_bytes()) == 7:
            await asyncio.sleep(0)
        assert seen == 8


async def test_free_space_is_no_longer_told_when_the_folder_goes_away(tmp_path, settings, monkeypatch):
    """What the thread found wrong is raised to whoever asks next."""
    now = SystemClock()
    monkeypatch.setattr(now, "monotonic", lambda: now.moment, raising=False)
    now.moment = 0.0
    (tmp_path / "out").mkdir()
    async with LocalVideoStore(tmp_path / "out", settings, now) as store:
        assert store.free_bytes() > 0
        (tmp_path / "out").rmdir()
        now.moment = 1.0
        with pytest.raises(FolderError):
            await _asked_for_ever(store)


async def _asked_for_ever(store: LocalVideoStore) -> None:
    while True:
        store.free_bytes()
        await asyncio.sleep(0)


async def test_other_names_are_found_when_those_of_result_hosts_are_not(tmp_path, gate, monkeypatch):
    """Result hosts that no name server answers for hold up each other, and nobody else."""
    real = socket.getaddrinfo

    def slow_for_results(name, *args, **kwargs):
        if str(name).startswith("result"):
            gate.hold()
            raise socket.gaierror(socket.EAI_NONAME, "nobody knows it")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow_for_results)
    settings = FetchSettings(connect_timeout=30)
    async with LocalVideoStore(tmp_path, settings) as store:
        downloads = [
            asyncio.create_task(store.fetch(f"http://result{n}.example/a", f"{n}.mp4"))
            for n in range(3 * (os.cpu_count() or 1) + 12)
        ]
        await asyncio.to_thread(gate.reached.wait)
        assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        gate.open()
        for error in await asyncio.gather(*downloads, return_exceptions=True):
            assert isinstance(error, InterruptedDownloadError)
            assert error.code == "connection_failed"


async def test_host_is_reached_when_it_has_a_name(host, store, video, is_whole):
    """Names lead to addresses as they do everywhere else."""
    host.will(host.serves(video(500)))
    url = host.url.replace("127.0.0.1", "localhost")
    assert is_whole(await store.fetch(f"{url}/a", "a.mp4"), video(500))


async def test_host_is_not_blamed_when_the_disk_takes_longer_than_the_stall_timeout(
    host, tmp_path, video, is_whole, gate
):
    """The timeout counts the time spent waiting for the host, not that for the disk."""
    host.will(host.serves(video(6 * MIB)))
    settings = FetchSettings(stall_timeout=0.5)
    async with LocalVideoStore(tmp_path, settings, assurance=Assurance(gate.digest)) as store:
        fetching = asyncio.create_task(store.fetch(f"{host.url}/a", "a.mp4"))
        await asyncio.to_thread(gate.reached.wait)
        await asyncio.wait([fetching], timeout=0.6)
        gate.open()
        assert is_whole(await fetching, video(6 * MIB))

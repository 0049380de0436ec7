"""Local files on their way: encoded once, held within a bound, waited for in order, and only as they were checked."""

import asyncio
import base64
import hashlib
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import RejectedError
from pipeline.core.jobs import LocalFile, MediaForm
from pipeline.modelverse.pictures import Held, Pictures, encoded_size

KIB = 1024
Make = Callable[..., LocalFile]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A file of so many bytes; every name has its own content, unless one is given."""

    def made(name: str, size: int = 3 * KIB, content: bytes | None = None) -> LocalFile:
        path, content = tmp_path / name, content or (name.encode() * size)[:size]
        path.write_bytes(content)
        return of(path, content)

    return made


def of(path: Path, content: bytes) -> LocalFile:
    digest = hashlib.sha256(content).hexdigest()
    return LocalFile("input.image_url", str(path), digest, len(content), "image/png", MediaForm.BASE64)


def text(held: Held, file: LocalFile) -> bytes:
    return b"".join(held.texts[file.sha256])


async def waits(work: "asyncio.Task[Held]") -> bool:
    """Whether it still waits, after everybody who could go on has done so."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not work.done()


# -- encoding


@pytest.mark.parametrize("size", [1, 2, 3, 4, 3 * 2**19 - 1, 3 * 2**19, 3 * 2**19 + 1, 5_000_000])
async def test_the_base64_is_whole_whatever_the_size(make: Make, size: int) -> None:
    """Blocks are of whole groups of three, so that their texts can be joined; the size is known before."""
    file = make("a", size)
    held = await Pictures().hold([file])
    assert text(held, file) == base64.b64encode(Path(file.path).read_bytes())
    assert len(text(held, file)) == encoded_size(size)


async def test_identical_bytes_are_encoded_once(make: Make) -> None:
    """Under one name or under many, at the same time or one after the other."""
    pictures, content = Pictures(), b"the same bytes" * 100
    files = [make(f"copy{number}", content=content) for number in range(5)]
    holds = await asyncio.gather(*(pictures.hold([file]) for file in files for _ in range(20)))
    assert pictures.statistics().encoded == 1
    assert pictures.statistics().used == encoded_size(len(content))
    for held in holds:
        held.let_go()
    again = await pictures.hold(files)
    assert pictures.statistics().encoded == 1
    again.let_go()
    assert pictures.statistics().used == 0


# -- the bound


async def test_memory_stays_within_the_bound_under_full_concurrency(make: Make) -> None:
    """Sixty submits of as many pictures, half a megabyte each, hold two megabytes of Base64 at most, measured."""
    size, limit = 512 * KIB, 2_200_000
    files = [make(f"picture-{number}", size) for number in range(60)]
    pictures, together = Pictures(limit), 0

    async def submit(file: LocalFile) -> None:
        nonlocal together
        held = await pictures.hold([file])
        together = max(together, pictures.statistics().used)
        await asyncio.sleep(0)
        assert len(text(held, file)) == encoded_size(size)
        held.let_go()

    tracemalloc.start()
    try:
        await asyncio.gather(*map(submit, files))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    statistics = pictures.statistics()
    assert (statistics.encoded, statistics.waiting, statistics.used) == (60, 0, 0)
    assert 2 * encoded_size(size) < together <= statistics.most <= limit
    assert peak < 3 * limit


async def test_whoever_needs_room_waits_in_order(make: Make) -> None:
    """A small picture does not overtake a large one that waits, and everybody comes in when there is room."""
    pictures = Pictures(limit=encoded_size(6 * KIB))
    first, large, small = make("first"), make("large", 6 * KIB), make("small", 3)
    held = await pictures.hold([first])
    waiting_large = asyncio.create_task(pictures.hold([large]))
    assert await waits(waiting_large)
    waiting_small = asyncio.create_task(pictures.hold([small]))
    assert await waits(waiting_small)
    assert pictures.statistics().waiting == 2
    held.let_go()
    (await waiting_large).let_go()
    (await waiting_small).let_go()
    assert pictures.statistics().waiting == 0


async def test_a_file_beyond_the_bound_is_let_in_alone(make: Make) -> None:
    """Nothing waits for ever: what is larger than all the room has it to itself."""
    pictures = Pictures(limit=KIB)
    huge, small = make("huge", 30 * KIB), make("small", 3)
    held = await pictures.hold([huge])
    waiting = asyncio.create_task(pictures.hold([small]))
    assert await waits(waiting)
    held.let_go()
    (await waiting).let_go()


async def test_a_picture_that_is_held_needs_no_room_again(make: Make) -> None:
    """A full house still has a place for whoever needs what is there."""
    pictures, file = Pictures(limit=encoded_size(3 * KIB)), make("a")
    first, second = await pictures.hold([file]), await pictures.hold([file])
    first.let_go()
    assert pictures.statistics().used == encoded_size(3 * KIB)
    second.let_go()
    assert (pictures.statistics().used, pictures.statistics().idle) == (0, encoded_size(3 * KIB))


async def test_pictures_that_nobody_needs_make_room(make: Make) -> None:
    """The one that was used longest ago goes first, and is encoded anew when it is needed again."""
    pictures = Pictures(limit=2 * encoded_size(3 * KIB))
    for name in ("a", "b", "a", "c"):
        (await pictures.hold([make(name)])).let_go()
    assert pictures.statistics().idle == 2 * encoded_size(3 * KIB)
    before = pictures.statistics().encoded
    (await pictures.hold([make("a")])).let_go()
    assert pictures.statistics().encoded == before
    (await pictures.hold([make("b")])).let_go()
    assert pictures.statistics().encoded == before + 1


async def test_whoever_is_sent_home_leaves_the_line(make: Make) -> None:
    """A cancelled wait blocks nobody behind it and holds nothing, also where its turn had just come."""
    pictures = Pictures(limit=encoded_size(6 * KIB))
    held = await pictures.hold([make("a")])
    large, small = (asyncio.create_task(pictures.hold([make(name, size)])) for name, size in (("b", 6 * KIB), ("c", 3)))
    assert await waits(small)
    large.cancel()
    (await small).let_go()
    late = asyncio.create_task(pictures.hold([make("d", 6 * KIB)]))
    assert await waits(late)
    held.let_go()
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    with pytest.raises(asyncio.CancelledError):
        await large
    assert (pictures.statistics().used, pictures.statistics().waiting) == (0, 0)


# -- what may have become of a file since it was checked


def gone(path: Path) -> None:
    path.unlink()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def endless(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x" * 50_000_000)


def other_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


@pytest.mark.parametrize(
    ("becomes", "code"),
    [
        (gone, "local_file_missing"),
        (a_pipe, "local_file_unreadable"),
        (a_device, "local_file_unreadable"),
        (a_loop, "local_file_unreadable"),
        (a_directory, "local_file_unreadable"),
        (nothing, "local_file_changed"),
        (endless, "local_file_changed"),
        (other_bytes, "local_file_changed"),
    ],
)
@pytest.mark.parametrize("seen_before", [False, True])
async def test_only_the_bytes_that_were_checked_are_sent(
    make: Make, becomes: Callable[[Path], None], code: str, seen_before: bool
) -> None:
    """Whatever has taken the file's place is refused at once, also where its text is still held, and nothing leaks."""
    pictures, file = Pictures(), make("picture")
    if seen_before:
        (await pictures.hold([file])).let_go()
    becomes(Path(file.path))
    tracemalloc.start()
    try:
        with pytest.raises(RejectedError) as caught:
            async with asyncio.timeout(5):
                await pictures.hold([file])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.code == code
    assert "picture" in caught.value.message
    assert pictures.statistics().used == 0
    assert peak < 10_000_000


async def test_a_file_that_was_only_touched_is_sent(make: Make) -> None:
    """Another date and the same bytes are the same picture: it is looked at again, and not encoded again."""
    pictures, file = Pictures(), make("picture")
    (await pictures.hold([file])).let_go()
    os.utime(file.path, (1, 1))
    held = await pictures.hold([file])
    assert (text(held, file), pictures.statistics().encoded) == (base64.b64encode(Path(file.path).read_bytes()), 1)

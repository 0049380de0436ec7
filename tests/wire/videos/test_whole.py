"""A result that arrives in one go."""

import asyncio
import struct

import pytest

from pipeline.core.errors import InterruptedDownloadError, UnusableResultError
from pipeline.settings import FetchSettings
from pipeline.videos import LocalVideoStore
from tests.wire.videos.conftest import box


@pytest.mark.parametrize("size", [200, 200_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_500_000])
async def test_file_is_stored_whole_when_it_arrives(host, store, video, is_whole, size):
    """The file, its record and its hash agree, around the block size too, and nothing is left beside it."""
    body = video(size)
    host.will(host.serves(body))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)


async def test_request_carries_no_secret_when_it_leaves(host, store, video):
    """Neither key nor cookie goes to a result host, redirected or not, and bytes are asked for as they are."""
    host.will(
        host.answers("302 Found", b"", "Set-Cookie: a=b", "Location: /next"),
        host.serves(video(500)),
    )
    await store.fetch(f"{host.url}/a", "a.mp4")
    await store.fetch(f"{host.url}/a", "b.mp4")
    for request in host.requests:
        assert request.line.startswith(b"GET ")
        assert request.header("Authorization") is None
        assert request.header("Cookie") is None
        assert request.header("Accept-Encoding") == "identity"
        assert request.header("User-Agent").startswith("video-batch-pipeline/")


@pytest.mark.parametrize(
    "target",
    [
        "/o/1.mp4?Expires=1&Signature=a%2Fb%2fc%3D%3d+x%20y&&k=&k",
        "/a/../b//c/./d%2F%2e%2e%25?q=%zz&e=%E4%BD%A0",
        "/a;b,c@d:e!$&'()*~?{}|^`\"<>[]\\",
        "/?a=b?c=d",
    ],
)
async def test_signed_url_arrives_byte_for_byte_when_it_is_fetched(host, store, video, target):
    """The signature covers the bytes of the URL: none is encoded, decoded or tidied."""
    host.will(host.redirects(host.url + target), host.serves(video(500)))
    stored = await store.fetch(host.url + target, "a.mp4")
    assert [request.target.decode() for request in host.requests] == [target, target]
    assert stored.url == host.url + target


async def test_outputs_lie_in_their_folders_when_they_name_some(host, store, video, tmp_path):
    """Folders are made as needed, and several outputs arrive side by side, long names and strange ones included."""
    names = ["a.mp4", "deep/er/a.mp4", "deep/b.mp4", "x" * 251 + ".mp4", "日本/👍 clip.mp4", "..dots../a.mp4"]
    bodies = {name: video(300_000, seed) for seed, name in enumerate(names)}

    async def script(request, reply):
        await reply.whole(bodies[names[int(request.target[1:])]])

    host.will(script)
    await asyncio.gather(*(store.fetch(f"{host.url}/{number}", name) for number, name in enumerate(names)))
    for name, body in bodies.items():
        assert (tmp_path / "videos" / name).read_bytes() == body


async def test_old_file_is_replaced_only_by_a_whole_one_when_it_exists(host, store, video, tmp_path, is_whole):
    """Until the new file is complete, the old one stays what it was."""
    final = tmp_path / "videos" / "a.mp4"
    final.parent.mkdir()
    final.write_bytes(b"old")
    host.will(host.resumes(video(2_000_000), cut=1_500_000), host.resumes(video(2_000_000)))
    with pytest.raises(InterruptedDownloadError):
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert final.read_bytes() == b"old"
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), video(2_000_000))


@pytest.mark.parametrize("pieces", [1, 3, 2000])
async def test_chunked_file_is_whole_when_its_last_chunk_arrived(host, store, video, is_whole, pieces):
    """A chunked answer names no length; its clean end is the proof, in whatever pieces it came."""
    body = video(600_000)

    async def script(request, reply):
        await reply.head("200 OK", "Transfer-Encoding: chunked")
        step = len(body) // pieces
        for start in range(0, len(body), step):
            chunk = body[start : start + step]
            await reply.send(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        await reply.send(b"0\r\n\r\n")

    host.will(script)
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)


def chunked(body):
    """An answer that names no length, with a proper end after the body."""

    async def script(request, reply):
        await reply.head("200 OK", "Transfer-Encoding: chunked")
        await reply.send(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")

    return script


@pytest.mark.parametrize("cut", [100, 150_000, 299_999])
async def test_chunked_file_is_interrupted_when_its_boxes_do_not_close(host, store, video, tmp_path, cut):
    """A proper end of the answer is no proof that the host had the whole: the boxes of an MP4 must close."""
    host.will(chunked(video(300_000)[:cut]))
    with pytest.raises(InterruptedDownloadError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "cut"
    assert not (tmp_path / "videos" / "a.mp4").exists()


HEAD = box(b"ftyp", b"isom\x00\x00\x02\x00isomiso2") + box(b"moov", b"x" * 30)


@pytest.mark.parametrize(
    "body",
    [
        HEAD + struct.pack(">I4s", 0, b"mdat") + bytes(1000),
        HEAD + (box(b"moof", b"m" * 20) + box(b"mdat", bytes(500))) * 3,
        b"\x1aE\xdf\xa3" + bytes(1000),
        b"\x89PNG\r\n\x1a\n" + bytes(1000),
    ],
    ids=["open end", "fragments", "matroska", "png"],
)
async def test_chunked_file_is_whole_when_its_kind_shows_no_end(host, store, is_whole, body):
    """A last box without a length, fragments, and media without boxes are believed when the answer ends properly."""
    host.will(chunked(body))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)


@pytest.mark.parametrize("ending", [b"", b"5\r\nab", b"zz\r\n", b"1000\r\n", b"\r\n\r\n"])
async def test_chunked_file_is_interrupted_when_its_end_is_missing_or_broken(host, tmp_path, video, ending):
    """Without its last chunk the answer was cut, whatever came instead."""
    body = video(300_000)

    async def script(request, reply):
        await reply.head("200 OK", "Transfer-Encoding: chunked")
        await reply.send(f"{len(body):x}\r\n".encode() + body + b"\r\n" + ending)

    host.will(script)
    async with LocalVideoStore(tmp_path, FetchSettings(stall_timeout=0.1)) as store:
        with pytest.raises(InterruptedDownloadError) as caught:
            await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code in {"cut", "bad_answer", "stalled"}
    assert not (tmp_path / "videos" / "a.mp4").exists()


async def test_file_without_length_is_whole_when_its_boxes_close(host, store, video, is_whole):
    """A body that ends with the connection is believed only if the MP4 ends exactly there."""
    body = video(300_000)

    async def script(request, reply):
        await reply.send(b"HTTP/1.0 200 OK\r\n\r\n" + body)

    host.will(script)
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)


@pytest.mark.parametrize("cut", [0, 100, 299_999])
async def test_file_without_length_is_interrupted_when_its_boxes_do_not_close(host, store, video, tmp_path, cut):
    """A close that cuts a box is a broken transfer, one missing byte included."""

    async def script(request, reply):
        await reply.send(b"HTTP/1.0 200 OK\r\n\r\n" + video(300_000)[:cut])

    host.will(script)
    with pytest.raises(InterruptedDownloadError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "cut"
    assert not (tmp_path / "videos" / "a.mp4").exists()


async def test_file_is_interrupted_when_a_host_sends_more_than_it_announced(host, store, video, tmp_path):
    """A host that contradicts its own length is not believed: half a video could look like a whole one."""
    body = video(5000)

    async def script(request, reply):
        await reply.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + body)

    host.will(script)
    with pytest.raises(InterruptedDownloadError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "bad_answer"
    assert not (tmp_path / "videos" / "a.mp4").exists()


@pytest.mark.parametrize(
    "body", [b"", b"<!DOCTYPE html>\x1b[31m<p>gone</p>", b'{"error":1}', b"<?xml version='1.0'?>", b"text", bytes(5000)]
)
async def test_result_is_refused_when_it_is_no_video(host, store, body, part_bytes, tmp_path):
    """A page under status 200 is no video; the message shows its beginning without control characters."""
    host.will(host.serves(body, "Content-Type: video/mp4"))
    with pytest.raises(UnusableResultError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "not_a_video"
    assert "\x1b" not in caught.value.message
    assert part_bytes() is None
    assert not (tmp_path / "videos" / "a.mp4").exists()


async def test_page_is_refused_at_once_when_it_is_announced_as_huge(host, store):
    """The first bytes decide as soon as they are there: nobody waits for the rest of the page."""
    hung_up = asyncio.Event()

    async def script(request, reply):
        await reply.head("200 OK", "Content-Length: 40000000")
        await reply.send(b"<html>".ljust(512))
        await hung_up.wait()

    host.will(script)
    with pytest.raises(UnusableResultError):
        await store.fetch(f"{host.url}/a", "a.mp4")
    hung_up.set()


@pytest.mark.parametrize("coding", ["gzip", "br", "Deflate"])
async def test_result_is_refused_when_it_is_encoded(host, store, video, coding):
    """We ask for the bytes as they are; lengths and ranges of another coding would not be those of the file."""
    host.will(host.serves(video(500), f"Content-Encoding: {coding}"))
    with pytest.raises(UnusableResultError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "encoded"


async def test_coding_label_is_ignored_when_it_changes_nothing(host, store, video, is_whole):
    """`identity` is no coding, and upload tools leave `aws-chunked` behind on plain objects."""
    host.will(host.serves(video(500), "Content-Encoding: identity, aws-chunked"))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), video(500))


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("excess", [0, 1])
async def test_result_is_refused_when_it_is_one_byte_above_the_limit(
    host, tmp_path, video, is_whole, part_bytes, announced, excess
):
    """The limit itself is allowed; one byte more is refused, announced or noticed on the way."""
    body = video(1_500_000 + excess)

    host.will(host.serves(body) if announced else chunked(body))
    async with LocalVideoStore(tmp_path, FetchSettings(max_bytes=1_500_000)) as store:
        if not excess:
            assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)
            return
        with pytest.raises(UnusableResultError) as caught:
            await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "too_large"
    assert part_bytes() is None


async def test_huge_result_is_refused_unread_when_its_length_is_announced(host, store):
    """A length above the limit is enough: not one byte of the body is waited for."""
    hung_up = asyncio.Event()

    async def script(request, reply):
        await reply.head("200 OK", "Content-Length: 50000001")
        await hung_up.wait()

    host.will(script)
    with pytest.raises(UnusableResultError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "too_large"
    hung_up.set()

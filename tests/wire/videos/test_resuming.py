"""Going on where an earlier try stopped, and starting over where that would join two files."""

import json

import pytest

from pipeline.core.errors import InterruptedDownloadError, UnusableResultError

pytestmark = pytest.mark.both_loops

SIZE = 2_500_000
CUT = 1_700_000


@pytest.fixture
def interrupted(host, store, part_bytes):
    """Leaves a part of CUT bytes behind, got from the given script."""

    async def leave(script, url="/a?sig=1"):
        host.will(script)
        with pytest.raises(InterruptedDownloadError) as caught:
            await store.fetch(host.url + url, "a.mp4")
        assert caught.value.code == "cut"
        host.requests.clear()
        return part_bytes()

    return leave


def fits(body, first, status="206 Partial Content", total=None, last=None, etag='"v1"', length=None):
    """A 206 that can be bent in every way."""

    async def script(request, reply):
        last_byte = len(body) - 1 if last is None else last
        rest = body[first : last_byte + 1][:length]
        await reply.head(
            status,
            f"Content-Length: {len(rest)}",
            f"Content-Range: bytes {first}-{last_byte}/{len(body) if total is None else total}",
            f"ETag: {etag}",
        )
        await reply.send(rest)

    return script


@pytest.mark.parametrize("cut", [1, 511, 512, 40_000, (1 << 20) - 1, 1 << 20, CUT, SIZE - 1])
async def test_download_goes_on_at_the_same_byte_when_it_was_cut(
    host, store, video, interrupted, is_whole, part_bytes, cut
):
    """What has arrived is kept, the rest is asked for under the ETag, and the whole has the right hash.

    Bytes that wait in the library's buffer, behind a busy disk, are lost with their connection: less than a block.
    """
    body = video(SIZE)
    kept = await interrupted(host.resumes(body, cut=cut))
    assert body.startswith(kept)
    assert cut - (1 << 20) <= len(kept) <= cut
    assert cut > 1 << 20 or len(kept) == cut
    host.will(host.resumes(body))
    assert is_whole(await store.fetch(f"{host.url}/a?sig=1", "a.mp4"), body)
    assert [(each.header("Range"), each.header("If-Range")) for each in host.requests] == [
        (f"bytes={len(kept)}-", '"v1"')
    ]


async def test_download_goes_on_every_time_when_it_is_cut_again_and_again(host, store, video, interrupted, is_whole):
    """A resumed part is resumed again; the hash covers all of it."""
    body = video(SIZE)
    await interrupted(host.resumes(body, cut=900_000))
    assert len(await interrupted(host.resumes(body, cut=900_000))) == 1_800_000
    host.will(host.resumes(body))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)
    assert host.requests[0].header("Range") == "bytes=1800000-"


async def test_download_goes_on_under_a_fresh_url_when_the_etag_vouches(host, store, video, interrupted, is_whole):
    """The service may sign the same result anew; the bytes we have stay good, and the record names the fresh URL."""
    body = video(SIZE)
    await interrupted(host.resumes(body, cut=CUT))
    host.will(host.resumes(body))
    stored = await store.fetch(f"{host.url}/elsewhere?sig=2", "a.mp4")
    assert is_whole(stored, body)
    assert stored.url == f"{host.url}/elsewhere?sig=2"
    assert host.requests[0].header("Range") == f"bytes={CUT}-"


async def test_download_goes_on_by_date_when_there_is_no_strong_etag(host, store, video, interrupted, is_whole):
    """A Last-Modified date guards the range where the ETag is missing or weak."""
    body, date = video(SIZE), "Sun, 22 Nov 2026 02:00:00 GMT"
    await interrupted(host.serves(body, 'ETag: W/"v1"', f"Last-Modified: {date}", cut=CUT))
    host.will(fits(body, CUT, etag='W/"v1"'))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)
    assert host.requests[0].header("If-Range") == date


@pytest.mark.parametrize(("url", "ranged"), [("/a?sig=2", True), ("/b?sig=2", False)])
async def test_download_goes_on_by_length_only_when_the_object_is_the_same(
    host, store, video, interrupted, is_whole, url, ranged
):
    """Where nothing but the length vouches, another path is another file."""
    body = video(SIZE)
    await interrupted(host.serves(body, cut=CUT))
    host.will(fits(body, CUT) if ranged else host.serves(body))
    assert is_whole(await store.fetch(host.url + url, "a.mp4"), body)
    assert (host.requests[0].header("Range") is not None) is ranged
    assert host.requests[0].header("If-Range") is None


async def test_file_is_fetched_anew_when_its_etag_changed(host, store, video, interrupted, is_whole):
    """A correct host answers If-Range of another version with the whole file: nothing old remains in it."""
    await interrupted(host.resumes(video(SIZE), cut=CUT))
    changed = video(SIZE, seed=2)
    host.will(host.resumes(changed, etag='"v2"'))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), changed)


async def test_file_is_fetched_anew_when_the_host_ignores_ranges(host, store, video, interrupted, is_whole):
    """A 200 after a Range brings everything; the part is replaced, not appended to."""
    body = video(SIZE)
    await interrupted(host.serves(body, 'ETag: "v1"', cut=CUT))
    host.will(host.serves(body, 'ETag: "v1"'))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)


@pytest.mark.parametrize(
    "lie",
    [
        {"first": CUT + 1},
        {"first": CUT - 1},
        {"first": 0},
        {"first": CUT, "total": SIZE + 1},
        {"first": CUT, "etag": '"v2"'},
        {"first": CUT, "length": 10},
    ],
    ids=repr,
)
async def test_file_is_fetched_anew_when_the_range_does_not_fit(host, store, video, interrupted, is_whole, lie):
    """An answer that starts elsewhere, or belongs to another length or version, is never joined."""
    body = video(SIZE)
    await interrupted(host.resumes(body, cut=CUT))
    host.will(fits(body, **lie), host.serves(body))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)
    assert [request.header("Range") for request in host.requests] == [f"bytes={CUT}-", None]


async def test_download_is_interrupted_when_the_host_keeps_sending_odd_ranges(host, store, video, part_bytes):
    """Two answers that fit nothing end the try instead of looping."""
    host.will(fits(video(SIZE), 5))
    with pytest.raises(InterruptedDownloadError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "bad_range"
    assert len(host.requests) == 2


async def test_unasked_partial_answer_is_taken_when_it_is_the_whole(host, store, video, is_whole):
    """Some hosts answer 206 to everything; from the first byte to the last it is the file."""
    host.will(fits(video(SIZE), 0))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), video(SIZE))


async def test_next_try_goes_on_when_the_host_caps_its_ranges(host, store, video, interrupted, is_whole):
    """A correct but short range is progress: what is still missing is asked for by the next try."""
    body = video(SIZE)
    await interrupted(host.resumes(body, cut=CUT))
    assert len(await interrupted(fits(body, CUT, last=CUT + 99_999))) == CUT + 100_000
    host.will(host.resumes(body))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)
    assert host.requests[0].header("Range") == f"bytes={CUT + 100_000}-"


async def test_every_try_gets_further_when_the_host_cuts_all_the_time(host, store, video, is_whole):
    """However short the host's breath is, each try keeps what it brought; hashing the old bytes costs none of it."""
    body = video(1_000_000)
    host.will(host.resumes(body, cut=100_000))
    for _ in range(9):
        with pytest.raises(InterruptedDownloadError):
            await store.fetch(f"{host.url}/a", "a.mp4")
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)


@pytest.fixture
def complete_part(host, tmp_path, interrupted):
    """Leaves a part that has every byte but no final name, as a crash just before the end does."""

    async def leave(body):
        await interrupted(host.resumes(body, cut=CUT))
        (part,) = (tmp_path / "videos" / ".parts").glob("*.part")
        part.write_bytes(body)

    return leave


async def test_complete_part_is_published_when_the_host_has_nothing_left_to_send(
    host, store, video, complete_part, is_whole
):
    """416 with our own length means that all of it is here; it is checked and hashed like every file."""
    await complete_part(video(SIZE))
    host.will(host.resumes(video(SIZE)))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), video(SIZE))
    assert len(host.requests) == 1


async def test_file_is_fetched_anew_when_416_tells_another_length(host, store, video, complete_part, is_whole):
    """A part that is as long as announced once, but not as the file is now, is another file."""
    await complete_part(video(SIZE))
    other = video(SIZE - 100, seed=3)
    host.will(
        host.answers("416 Range Not Satisfiable", b"", f"Content-Range: bytes */{len(other)}"),
        host.serves(other),
    )
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), other)


@pytest.mark.parametrize("damage", ["missing", "torn", "not_json", "wrong_type", "other_boot", "huge"])
async def test_file_is_fetched_anew_when_the_validator_cannot_be_trusted(
    host, store, video, tmp_path, interrupted, is_whole, damage
):
    """A part without a readable validator of this very boot is nobody's: a power cut may have left zeros in it."""
    body = video(SIZE)
    await interrupted(host.resumes(body, cut=CUT))
    (validator,) = (tmp_path / "videos" / ".parts").glob("*.json")
    text = validator.read_text()
    validator.unlink()
    damaged = {
        "torn": text[:-9],
        "not_json": "\x00",
        "wrong_type": text.replace(str(SIZE), '"many"'),
        "other_boot": json.dumps(json.loads(text) | {"boot": "another"}),
        "huge": text + " " * 200_000,
    }
    if damage in damaged:
        validator.write_text(damaged[damage])
    host.will(host.resumes(body))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), body)
    assert host.requests[0].header("Range") is None


async def test_part_is_not_written_through_when_it_is_a_link(host, store, video, tmp_path, is_whole):
    """A planted link in the parts folder is replaced; what it points to stays untouched."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    host.will(host.resumes(video(SIZE), cut=CUT))
    with pytest.raises(InterruptedDownloadError):
        await store.fetch(f"{host.url}/a", "a.mp4")
    (part,) = (tmp_path / "videos" / ".parts").glob("*.part")
    part.unlink()
    part.symlink_to(victim)
    host.will(host.resumes(video(SIZE)))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), video(SIZE))
    assert victim.read_bytes() == b"precious"


async def test_resumed_file_is_refused_when_its_first_bytes_are_no_video(host, store, video, interrupted, part_bytes):
    """The first bytes are checked again on disk before the file gets its name."""
    page = b"<html>" + b" " * 300
    host.will(host.resumes(page, cut=100))
    with pytest.raises(InterruptedDownloadError):
        await store.fetch(f"{host.url}/a", "a.mp4")
    host.will(host.resumes(page))
    with pytest.raises(UnusableResultError):
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert part_bytes() is None


async def test_new_result_is_fetched_whole_when_the_old_part_was_discarded(
    host, store, video, tmp_path, interrupted, part_bytes
):
    """A result that is no longer wanted leaves nothing for the next one to go on from."""
    await interrupted(host.resumes(video(SIZE), cut=CUT))
    await store.discard("a.mp4")
    assert part_bytes() is None
    assert list((tmp_path / "videos" / ".parts").iterdir()) == []
    await store.discard("a.mp4")

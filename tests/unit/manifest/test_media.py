"""Media values: what is taken, what is refused, and with which mend."""

import base64
import os
from pathlib import Path

import pytest

from pipeline.catalog import Media, MediaValue
from pipeline.core.jobs import MediaForm
from pipeline.manifest import media as media_module
from pipeline.manifest import open_manifest
from pipeline.manifest.media import MediaReader

URL_ONLY = Media("image", ("url",), MediaForm.DATA_URI, "the page names only URLs")
DATA = Media("image", ("url", "data_uri"), MediaForm.DATA_URI)
BARE = Media("image", ("url", "base64"), MediaForm.BASE64)
NO_URL = Media("image", ("base64",), MediaForm.BASE64)
VIDEO = Media("video", ("url",), MediaForm.DATA_URI)
MIXED = Media("mixed", ("url", "data_uri"), MediaForm.DATA_URI)
PNG = b"\x89PNG\r\n\x1a\n"
BASE64 = base64.b64encode(PNG * 20).decode()


def judge(folder: Path, text: str, media: Media = DATA):
    return MediaReader(folder).judge(MediaValue("input.image_url", text, media))


@pytest.mark.parametrize(
    ("text", "media"),
    [
        ("https://example.com/a.jpg", DATA),
        ("http://1.1.1.1:8080/a.jpg?x=%20#y", URL_ONLY),
        ("HTTPS://example.com/海.jpg", DATA),
        ("http://[2606:4700::1111]/a", DATA),
        (f"data:image/png;base64,{BASE64}", DATA),
        (BASE64, BARE),
        (BASE64, NO_URL),
    ],
)
def test_value_passes_when_the_service_can_use_it(tmp_path, text, media):
    """URLs, data URIs and Base64 in their documented forms raise nothing."""
    judged = judge(tmp_path, text, media)
    assert (judged.problem, judged.warning, judged.file) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "media", "mend"),
    [
        ("", DATA, "give a URL, a data URI or the path of a file"),
        ("  ", DATA, "is empty"),
        (" https://e.com/a", DATA, "has blanks around it; remove them"),
        ("example.com/a.jpg", DATA, "looks like a URL without a scheme; write https://example.com/a.jpg"),
        ("//example.com/a.jpg", DATA, "write https://example.com/a.jpg"),
        ("www.example.com", DATA, "write https://www.example.com"),
        ("http:///a.jpg", DATA, "has no host; write https://example.com/…"),
        ("https:/example.com/a.jpg", DATA, "write https://"),
        ("https://e.com/a b.jpg", DATA, "write %20 for a blank"),
        ("http://[::1", DATA, "is no URL"),
        ("http://e.com:99999/", DATA, "is no URL"),
        ("file:///home/x/a.png", DATA, "write the path instead: /home/x/a.png"),
        ("file:/home/x/a.png", DATA, "write the path instead: /home/x/a.png"),
        ("s3://bucket/a.png", DATA, "use http(s), a data URI or a local file"),
        ("ftp://e.com/a.png", DATA, "use http(s), a data URI or a local file"),
        ("https://e.com/a.png", NO_URL, "takes no URL here"),
        ("data:image/png,abc", DATA, "write data:image/png;base64"),
        ("data:;base64,AAAA", DATA, "with the right type"),
        ("data:image/png;base64,", DATA, "holds no data"),
        ("data:image/png;base64,AAA", DATA, "is not valid Base64"),
        ("data:image/png;base64,A A=", DATA, "is not valid Base64"),
        ("data:image/PNG;base64,AAAA", DATA, "lower case: data:image/png;base64"),
        ("data:video/mp4;base64,AAAA", DATA, "the model wants a picture"),
        (f"data:image/png;base64,{BASE64}", BARE, "takes bare Base64 here; leave out 'data:image/png;base64,'"),
        ("nowhere.png", DATA, "there is no file 'nowhere.png'"),
        ("pic.png/x", DATA, "there is no file"),
        (".", DATA, "is a directory; name a file in it"),
        ("empty.png", DATA, "is an empty file"),
        ("page.png", DATA, "is not a picture (PNG, JPEG, WebP, GIF or BMP)"),
        ("clip.mp4", DATA, "its content is video/mp4"),
        ("pic.png", VIDEO, "is not a video (.mp4, .mov or .avi); its content is image/png"),
        ("page.png", MIXED, "is neither a picture"),
        ("x" * 300, DATA, "cannot be read"),
        ("/dev/null", DATA, "is not a regular file"),
    ],
)
def test_value_is_refused_when_the_service_cannot_use_it(tmp_path, text, media, mend):
    """A value that would only fail at the service is refused here, with what would be right."""
    for name, content in (("empty.png", b""), ("page.png", b"<html>"), ("clip.mp4", b"ftyp"), ("pic.png", PNG)):
        (tmp_path / name).write_bytes(content)
    judged = judge(tmp_path, text, media)
    assert mend in (judged.problem or "")
    assert judged.file is None


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/a",
        "http://127.0.0.1/a",
        "http://10.0.0.7/a",
        "http://[::1]/a",
        "http://nas/a",
        "http://a.local/b",
    ],
)
def test_author_is_warned_when_a_url_is_private(tmp_path, url):
    """The vendor's machines cannot reach this one's network."""
    assert "is a private address" in (judge(tmp_path, url).warning or "")


@pytest.mark.parametrize(
    ("name", "start", "mime"),
    [
        ("a.bin", PNG, "image/png"),
        ("a.png", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("a", b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ("a.gif", b"GIF89a", "image/gif"),
        ("a.bmp", b"BM\0\0", "image/bmp"),
        ("a.MP4", b"....", "video/mp4"),
        ("a.mov", b"....", "video/quicktime"),
        ("a.wav", b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        ("a.mp3", b"ID3", "audio/mpeg"),
    ],
)
def test_type_is_that_of_the_content_when_a_file_is_named(tmp_path, name, start, mime):
    """Pictures are known by their first bytes whatever they are called, clips and sound by their suffix."""
    (tmp_path / name).write_bytes(start)
    judged = judge(tmp_path, name, MIXED)
    assert judged.file is not None
    assert judged.file.mime == mime


@pytest.mark.parametrize(("size", "taken"), [(14_900_000, True), (14_900_001, False)])
def test_file_is_refused_when_no_request_can_hold_it(tmp_path, size, taken):
    """The service takes requests of 20 MB, and Base64 adds a third to a file."""
    with (tmp_path / "a.png").open("wb") as stream:
        stream.write(PNG)
        stream.truncate(size)
    assert (judge(tmp_path, "a.png").file is not None) is taken


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.touch(), "is an empty file"),
        (lambda path: path.mkdir(), "is a directory; name a file in it"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
        (lambda path: path.symlink_to("/proc/self/environ"), "is an empty file"),
        (lambda path: path.symlink_to("nowhere.png"), "there is no file"),
        (lambda path: path.write_bytes(b"text"), "is not a picture"),
    ],
    ids=["empty", "directory", "pipe", "device", "loop", "proc", "nowhere", "text"],
)
def test_only_a_regular_file_of_the_right_kind_is_taken(tmp_path, make, words):
    """Whatever else stands under the name is refused with its reason, and nobody waits for it."""
    make(tmp_path / "a.png")
    judged = judge(tmp_path, "a.png")
    assert judged.file is None
    assert words in judged.problem


def test_file_is_read_once_when_many_rows_name_it(tmp_path):
    """The hash is remembered by path, size and time of change, and made anew when the file changes."""
    (tmp_path / "a.png").write_bytes(PNG)
    reader = MediaReader(tmp_path)
    value = MediaValue("input.image_url", "a.png", DATA)
    first = reader.judge(value).file
    assert reader.judge(value).file == first
    assert len(reader._known) == 1
    (tmp_path / "a.png").write_bytes(PNG + b"!")
    assert reader.judge(value).file != first


def test_memory_is_bounded_when_many_files_are_named(tmp_path, monkeypatch):
    """Only the latest files are remembered."""
    monkeypatch.setattr(media_module, "REMEMBERED", 3)
    reader = MediaReader(tmp_path)
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(PNG)
        reader.judge(MediaValue("input.image_url", f"{number}.png", DATA))
    assert len(reader._known) == 3


@pytest.mark.parametrize(
    ("job", "field", "form"),
    [
        ("model: Wan-AI/Wan2.2-I2V\n  input: {image_url: pic.png}", "input.image_url", "data_uri"),
        ("input: {first_frame_url: pic.png, prompt: x}", "input.first_frame_url", "data_uri"),
        ("model: kling-v2-6\n  input: {prompt: x}\n  parameters: {image: pic.png}", "parameters.image", "base64"),
        (
            (
                "model: kling-video-o1\n  input: {prompt: x}\n"
                "  parameters: {image_list: [{image_url: 'https://e.com/a'}, {image_url: pic.png}]}"
            ),
            "parameters.image_list.1.image_url",
            "base64",
        ),
        (
            (
                "model: veo-3.1-generate-001\n"
                "  input: {prompt: x, image: {bytesBase64Encoded: pic.png, mimeType: image/png}}\n"
                "  parameters: {generate_audio: true}"
            ),
            "input.image.bytesBase64Encoded",
            "base64",
        ),
        (
            (
                "model: doubao-seedance-1-5-pro-251215\n"
                "  input: {content: [{type: text, text: hi}, {type: image_url, image_url: {url: pic.png}}]}"
            ),
            "input.content.1.image_url.url",
            "data_uri",
        ),
        (
            (
                "model: viduq2\n"
                "  input: {prompt: x, subjects: [{id: a, voice_id: '', images: ['https://e.com/a', pic.png]}]}\n"
                "  parameters: {vidu_type: reference2video}"
            ),
            "input.subjects.0.images.1",
            "data_uri",
        ),
        ("model: happyhorse-1.0-i2v\n  input: {images: [pic.png]}", "input.images.0", "data_uri"),
    ],
)
def test_file_is_found_at_depth_when_the_catalog_describes_the_field(write, jobs, job, field, form):
    """A local file is recognised wherever the model takes media, and written in the form that the model wants."""
    (made,) = jobs(write("a.yaml", f"jobs:\n- id: a\n  {job}\n"))
    assert [(file.field, file.form) for file in made.files] == [(field, form)]


def test_type_beside_the_bytes_is_refused_when_the_file_is_another(write, problems):
    """Veo wants the type of the picture; one that contradicts the file is an error."""
    (found,) = problems(
        write(
            "a.yaml",
            "jobs:\n- model: veo-3.1-generate-001\n  input:\n    prompt: x\n    image:\n"
            "      bytesBase64Encoded: pic.png\n"
            "      mimeType: image/jpeg\n  parameters: {generate_audio: true}\n",
        )
    )
    assert (found.line, found.path) == (7, "input.image.mimeType")
    assert "the file is image/png; write image/png" in found.message


def test_doubt_about_the_form_is_said_once_when_many_rows_have_it(write):
    """What is doubtful about a field is one warning; what is doubtful about a value is one for each."""
    rows = "".join(f"{n},pic.png\n" for n in range(5)) + "x,http://localhost/a\ny,http://localhost/b\n"
    with open_manifest(write("a.csv", f"id,image_url\n{rows}")) as manifest:
        warnings = manifest.check().warnings
    assert [(one.line, one.path) for one in warnings] == [
        (2, "input.image_url"),
        (7, "input.image_url"),
        (8, "input.image_url"),
    ]
    assert "names only URLs here" in warnings[0].message
    assert warnings[0].message.endswith(" (and 4 more jobs like it)")


def test_a_doubt_that_one_row_has_is_said_without_a_number(write):
    """Two rows are the first and one more; what stands in `defaults` is true of every row, and is not counted."""
    for rows, end in (("1,pic.png\n", "refuse it"), ("1,pic.png\n2,pic.png\n", "refuse it (and 1 more job like it)")):
        with open_manifest(write("a.csv", f"id,image_url\n{rows}")) as manifest:
            (warning,) = manifest.check().warnings
        assert str(warning).endswith(f": the service may {end}")
    text = "defaults: {input: {image_url: pic.png}}\njobs: [{id: a, input: {prompt: x}}, {id: b, input: {prompt: y}}]\n"
    with open_manifest(write("a.yaml", text)) as manifest:
        (warning,) = manifest.check().warnings
    assert str(warning).endswith(": the service may refuse it")


def test_warnings_are_capped_when_there_are_very_many(write):
    """A hundred warnings are kept, the others are counted in a last line."""
    rows = "".join(f"http://localhost/{n}\n" for n in range(101))
    with open_manifest(write("a.csv", f"image_url\n{rows}")) as manifest:
        warnings = manifest.check().warnings
    assert len(warnings) == 101
    assert str(warnings[-1]).endswith("… and 1 more warning")


@pytest.mark.parametrize(("spare", "taken"), [(0, True), (4, False)])
def test_data_uri_is_refused_when_it_is_longer_than_28_megabytes(write, problems, spare, taken):
    """A media value inside the manifest may be longer than other texts, up to 28 MB."""
    prefix = "data:image/png;base64,"
    room = 28_000_000 - len(prefix)
    text = prefix + "A" * (room - room % 4 + spare)
    found = problems(write("a.csv", f'image_url\n"{text}"\n'))
    assert [one.message[:25] for one in found] == ([] if taken else ["is longer than 28 MB, the"])


def test_file_is_read_once_when_it_is_written_in_several_ways(tmp_path, monkeypatch):
    """Another spelling of its path, or a link to it, is the same file."""
    looked_at = []
    look_at = media_module._look_at
    monkeypatch.setattr(media_module, "_look_at", lambda *given: looked_at.append(given) or look_at(*given))
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b.png").hardlink_to(tmp_path / "a.png")
    (tmp_path / "c.png").symlink_to("a.png")
    reader = MediaReader(tmp_path)
    spellings = ("a.png", "./a.png", "folder/../a.png", str(tmp_path / "a.png"), "b.png", "c.png")
    files = [reader.judge(MediaValue("input.image_url", text, DATA)).file for text in spellings]
    assert len({file.sha256 for file in files if file}) == 1
    assert len(looked_at) == 1


def test_file_is_read_again_when_another_takes_its_name(tmp_path):
    """Size and date may be the same: another file is another file."""
    (tmp_path / "a.png").write_bytes(PNG + b"1")
    reader = MediaReader(tmp_path)
    value = MediaValue("input.image_url", "a.png", DATA)
    first, dates = reader.judge(value).file, (tmp_path / "a.png").stat()
    (tmp_path / "b.png").write_bytes(PNG + b"2")
    os.utime(tmp_path / "b.png", ns=(dates.st_atime_ns, dates.st_mtime_ns))
    (tmp_path / "b.png").replace(tmp_path / "a.png")
    second = reader.judge(value).file
    assert first is not None
    assert second is not None
    assert first.sha256 != second.sha256

"""The last steps of a file, with real folders of more than one disk and real limits."""

import errno
import os
import resource
import shutil
import tempfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.core.errors import DownloadError, FolderError, InterruptedDownloadError, NoSpaceError, PipelineError
from pipeline.videos.partfile import Assurance, PartFile, Proof
from pipeline.videos.places import Places
from pipeline.videos.ranges import Validator
from tests.wire.videos.conftest import make_video

VIDEO = make_video(20_000_000)


@pytest.fixture
def place(tmp_path):
    """The place of an output whose unfinished bytes lie on another disk than its folder."""
    tried = (path for path in map(Path, ("/dev/shm", "/var/tmp", Path.home())) if os.access(path, os.W_OK))
    other = next(path for path in tried if path.stat().st_dev != tmp_path.stat().st_dev)
    folder = tempfile.mkdtemp(dir=other)
    here = Places(tmp_path).of("deep/a.mp4")
    yield replace(here, parts=f"{folder}/p", part=f"{folder}/p/a.part", validator=f"{folder}/p/a.json")
    shutil.rmtree(folder)


def written(place, body=VIDEO, assurance=None):
    file = PartFile(place, assurance or Assurance())
    file.prepare()
    file.append([body], Validator("http://host/a", total=len(body)))
    return file


def names(folder):
    return [path.name for path in Path(folder).iterdir()]


def test_file_is_copied_and_flushed_when_its_folder_lies_on_another_disk(place):
    """The copy is on disk before it gets its name; a leftover of an earlier copy is no hindrance."""
    flushed = []
    assurance = Assurance(flush=lambda descriptor: flushed.append(os.fstat(descriptor).st_size))
    file = written(place, assurance=assurance)
    Path(place.beside).write_bytes(b"left by a crash")
    size, _sha256 = file.publish([], Validator("http://host/a"), Proof(len(VIDEO)))
    assert size == len(VIDEO)
    assert Path(place.final).read_bytes() == VIDEO
    assert flushed == [len(VIDEO)] * 2
    assert names(place.folder) == ["a.mp4"]
    assert names(place.parts) == []


def test_copy_ends_early_when_nobody_waits_for_it(place):
    """A stop does not wait for a long copy: the part stays, and nothing is left beside the final place."""
    file = written(place)
    file.hurry()
    with pytest.raises(InterruptedDownloadError):
        file.publish([], Validator("http://host/a"), Proof(len(VIDEO)))
    assert names(place.folder) == []
    assert Path(place.part).read_bytes() == VIDEO


def test_copy_is_removed_when_the_other_disk_is_full(place):
    """A copy that does not fit is no file; the part stays for the time when there is room."""
    file = written(place)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(VIDEO) // 2, before[1]))
    try:
        with pytest.raises(NoSpaceError) as caught:
            file.publish([], Validator("http://host/a"), Proof(len(VIDEO)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert place.final in caught.value.message
    assert names(place.folder) == []
    assert Path(place.part).read_bytes() == VIDEO


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV, errno.EBUSY])
def test_output_alone_fails_when_only_its_own_place_is_shut(tmp_path, number):
    """What lies in an output's place may refuse it; where nothing lies, it is the folder of all outputs that does."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"old")
    refusal = {"a.mp4": DownloadError, "b.mp4": FolderError, "a.mp4/c.mp4": DownloadError, "d/e.mp4": FolderError}
    for output, kind in refusal.items():
        with pytest.raises(PipelineError) as caught, Places(tmp_path).of(output).errors:
            raise OSError(number, "refused")
        assert type(caught.value) is kind


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV])
def test_output_alone_fails_when_a_disk_below_its_folder_has_gone(tmp_path, number):
    """A dead disk that is mounted inside `videos/` is no end of the run; the disk of all outputs is."""
    (tmp_path / "videos" / "d").mkdir(parents=True)
    (tmp_path / "videos" / "a.mp4").write_bytes(b"old")
    for output, kind in {"d/e.mp4": DownloadError, "f/g.mp4": FolderError, "a.mp4": FolderError}.items():
        with pytest.raises(PipelineError) as caught, Places(tmp_path).of(output).errors:
            raise OSError(number, "gone")
        assert type(caught.value) is kind


def test_download_is_interrupted_when_no_file_handle_is_left(tmp_path):
    """Too many open files is a state that passes: the download waits and goes on."""
    file = PartFile(Places(tmp_path).of("a.mp4"), Assurance())
    file.prepare()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(InterruptedDownloadError) as caught:
            file.append([VIDEO], Validator("http://host/a"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert caught.value.code == "no_handles"


def test_nothing_counts_as_kept_when_what_an_earlier_try_left_cannot_be_read(tmp_path):
    """A part that is no longer ours to read, or a record that is no record, begins the download anew."""
    place = Places(tmp_path).of("a.mp4")
    written(place, VIDEO[:1000]).close()
    assert PartFile(place, Assurance()).prepare()[0].size == 1000
    Path(place.validator).write_text("[" * 100_000)
    assert PartFile(place, Assurance()).prepare()[0].size == 0

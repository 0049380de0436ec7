"""Whatever the bytes are, a manifest is a manifest or a `ManifestError`."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import ManifestError, Problem
from pipeline.manifest import open_manifest

SOUND = {
    ".yaml": b"""version: 1
run: {concurrency: 2}
defaults: &d {model: Wan-AI/Wan2.2-I2V, parameters: {resolution: 480P}}
jobs:
  - id: wave-01
    input: &i {image_url: "https://example.com/a.jpg", prompt: 'a surfer'}
    metadata: {shot: 12, at: 2024-01-01, all: [1, 2.5, ~, yes], again: *i}
    output: "{metadata.shot}/{id}.mp4"
  - model: kling-v3-omni
    input: {prompt: |
        two
        lines
      }
    parameters: {image_list: [{image_url: a.png, type: first_frame}], aspect_ratio: "16:9"}
""",
    ".csv": b"""id,model,input.image_url,prompt,seed,metadata.shot,output
wave-01,,https://example.com/a.jpg,"a ""quoted""
prompt, two lines",5,1,{id}.mp4
wave-02,Wan-AI/Wan2.2-T2V,,x,,,
""",
    ".jsonl": b"""{"id": "wave-01", "input": {"image_url": "https://example.com/a.jpg", "prompt": "\\ud83c\\udf0a"}}
{"model": "viduq2", "input": {"prompt": "x", "images": ["a.png"]}, "parameters": {"vidu_type": "reference2video"}}
{"id": "n", "metadata": {"x": [1, 2.5e3, null, {"y": true}]}, "output": "{metadata.x}"}
""",
}
SCRAPS = st.sampled_from(
    [
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\n",
        b"\r",
        b"\t",
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b": ",
        b"- ",
        b"&a ",
        b"*a",
        b"<<: ",
        b"!!str ",
        b"---\n",
        b"...",
        b"%TAG",
        b"? ",
        b"|",
        b">",
        b"#",
        b",",
        b"NaN",
        b".inf",
        b"1e999",
        b"\\ud800",
        b"\\u0000",
        "🌊".encode(),
        "\u202e\u0085\u2028".encode(),
        b"data:",
        b"file://",
        b"http://[",
        b"../",
        b"{id}",
        b"id",
        b"jobs:",
        b"defaults:",
    ]
)


def checked(path: Path) -> list[Problem]:
    """Open, check and stream; a `ManifestError` is an answer, anything else is a bug."""
    try:
        with open_manifest(path) as manifest:
            manifest.check()
            assert all(job.output for job in manifest.jobs())
    except ManifestError as error:
        return list(error.problems)
    return []


def read(content: bytes, suffix: str) -> None:
    """Check the bytes as a manifest, then stream them unchecked, as if they had changed in between."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"m{suffix}"
        path.write_bytes(content)
        assert all(str(one).isprintable() for one in checked(path))
        with contextlib.suppress(ManifestError), open_manifest(path) as manifest:
            list(manifest.jobs())


@pytest.mark.parametrize("suffix", SOUND)
@settings(max_examples=60)
@given(content=st.binary(max_size=300))
def test_only_manifest_errors_come_out_when_the_bytes_are_arbitrary(suffix, content):
    """No bytes make a reader fall over."""
    read(content, suffix)


@pytest.mark.parametrize("suffix", SOUND)
@settings(max_examples=150)
@given(data=st.data())
def test_only_manifest_errors_come_out_when_a_manifest_is_mutilated(suffix, data):
    """No change to a sound manifest makes a reader or the checks fall over."""
    content = SOUND[suffix]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 12)))
        content = content[:start] + data.draw(SCRAPS | st.binary(max_size=3)) + content[end:]
    read(content, suffix)

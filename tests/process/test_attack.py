"""The whole command against a hostile manifest, service, result host and neighbour: nothing they do gets out of hand.

The lab looks at everything that was printed and written when a test ends: no key, no terminal escape, no traceback.
"""

import json
import os
import resource
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import SettingsError
from pipeline.ledger.schema import distrust
from pipeline.settings import Layer, build_settings
from tests.process.conftest import QUICK
from tests.process.double import Double, cut, honest, make_video, redirect, send

FOLDER = "outputs/shots"
VIDEO = make_video(50_000)
STEERING = ("\x9b", "\x1b", "\x07", "\r", "\u202e", "\u2066")
"""What can move a cursor, set a title, or turn the direction of what is read."""


def input_of(prompt: str = "one") -> dict[str, Any]:
    return {"image_url": "https://example.com/a.jpg", "prompt": prompt}


def write_jobs(lab: Any, *jobs: dict[str, Any]) -> str:
    """A manifest with these jobs."""
    (lab.path / "shots.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    return "shots.jsonl"


def quickly(lab: Any) -> None:
    """Settings for a service that answers at once."""
    lab.environment |= {f"PIPELINE_{name.upper()}": str(value) for name, value in QUICK.items()}


def harmless(text: str) -> bool:
    return not any(sign in text for sign in STEERING)


# -- a hostile manifest ------------------------------------------------------------------------------------------------

HEAD = "version: 1\njobs:\n"
BOMBS: dict[str, tuple[str, Callable[[], Iterable[str]], str]] = {
    "flow mappings": ("a.yaml", lambda: ["{" * 300_000], "nested deeper than 32 levels"),
    "flow keys": ("a.yaml", lambda: [HEAD, "- {? ", "{? " * 100_000], "nested deeper than 32 levels"),
    "block lists": ("a.yaml", lambda: [HEAD, "- " * 50_000, "x\n"], "nested deeper than 32 levels"),
    "under an unknown key": ("a.yaml", lambda: ["x: ", "[" * 200_000], "nested deeper than 32 levels"),
    "laughs": (
        "a.yaml",
        lambda: [
            HEAD,
            "- id: a\n  metadata:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n",
            *(f"    a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
        ],
        "adds up to more than 20000 values",
    ),
    "repeated defaults": (
        "a.yaml",
        lambda: [
            "defaults:\n  metadata:\n",
            *(f"    t{n}: {'x' * 900_000}\n" for n in range(30)),
            "jobs:\n",
            *(f"- {{input: {{image_url: 'https://example.com/{n}.jpg', prompt: p}}}}\n" for n in range(1000)),
        ],
        "what `defaults` adds to the jobs comes to more than",
    ),
    "repeated aliases": (
        "a.yaml",
        lambda: [
            f"run: {{x: &t [{'1,' * 18_000}]}}\njobs:\n",
            *(
                f"- {{input: {{image_url: 'https://example.com/{n}.jpg', prompt: p}}, metadata: {{t: *t}}}}\n"
                for n in range(999)
            ),
        ],
        "the aliases of the file add up to more than 10 million values",
    ),
    "columns": ("a.csv", lambda: ["id,", ",".join(f"k{n}" for n in range(100_000)), "\na,\n"], "the most is 1000"),
    "objects": ("a.jsonl", lambda: ['{"metadata":{"a":[', "{}," * 9_000_000, "1]}}\n"], "more than 20000 values"),
    "keys": ("a.jsonl", lambda: ["{", ",".join(f'"k{n}":1' for n in range(200_000)), "}\n"], "more than 20000 values"),
    "levels": ("a.jsonl", lambda: ['{"a":' * 2_000_000], "nested too deeply"),
}


def narrow() -> None:
    """700 MB of memory and 30 s of one core, whatever the manifest says."""
    resource.setrlimit(resource.RLIMIT_AS, (700_000_000, 700_000_000))
    resource.setrlimit(resource.RLIMIT_CPU, (30, 30))


@pytest.mark.parametrize(("name", "text", "words"), BOMBS.values(), ids=BOMBS)
def test_a_manifest_is_refused_in_little_memory_and_time_when_it_is_a_bomb(
    lab: Any, name: str, text: Callable[[], Iterable[str]], words: str
) -> None:
    """No manifest makes more work than its size, and what is wrong with it is told as with every other."""
    with (lab.path / name).open("w") as file:
        file.writelines(text())
    ended = lab.run("validate", name, limits=narrow)
    assert ended.code == 2
    assert words in ended.err


@pytest.mark.parametrize(("columns", "code"), [(1000, 0), (1001, 2)])
def test_a_header_is_read_when_it_has_no_more_columns_than_anybody_needs(lab: Any, columns: int, code: int) -> None:
    """A thousand columns are a manifest, one more is not."""
    names = ["image_url", "prompt", *(f"metadata.m{number}" for number in range(columns - 2))]
    cells = ["https://example.com/a.jpg", "p", *["1"] * (columns - 2)]
    (lab.path / "shots.csv").write_text(f"{','.join(names)}\n{','.join(cells)}\n")
    assert lab.run("validate", "shots.csv").code == code


@pytest.mark.parametrize(("values", "code"), [(19_985, 0), (20_001, 2)])
def test_a_jsonl_object_is_read_when_it_holds_no_more_than_any_job(lab: Any, values: int, code: int) -> None:
    """JSONL has the same bound on one job as YAML."""
    job = {"id": "a", "input": input_of(), "metadata": {"m": [1] * values}}
    assert lab.run("validate", write_jobs(lab, job)).code == code


def test_the_key_goes_nowhere_when_a_manifest_names_a_host_of_its_own(lab: Any) -> None:
    """A manifest from somebody else cannot have the key sent to its author."""
    with Double(honest(VIDEO)) as double:
        ended = lab.run("run", lab.manifest("wave", endpoint="http://127.0.0.2:9"))
        assert ended.code == 2
        assert "run.endpoint: " in ended.err
        assert "is not a host of the vendor, and the API key would go there" in ended.err
        assert not double.bought()
        assert lab.run("validate", "shots.yaml").code == 2


@pytest.mark.parametrize(
    ("endpoint", "taken"),
    [
        ("https://api.modelverse.cn", True),
        ("https://api.umodelverse.ai/", True),
        ("https://api-us-ca.umodelverse.ai:443/base", True),
        ("http://api.modelverse.cn", False),
        ("https://api.modelverse.cn:8443", False),
        ("https://api.modelverse.cn.evil.example", False),
        ("https://evil.example/api.modelverse.cn", False),
        ("https://apimodelverse.cn", False),
        ("https://evil.modelverse.cn", False),
        ("https://api.modelverse.cn\\.evil.example", False),
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080/base", True),
        ("http://[::1]:8080", True),
        ("http://127.0.0.1.evil.example", False),
        ("http://localhost:80.evil.example", False),
        ("http://127.0.0.2:8080", False),
        ("http://10.0.0.1", False),
    ],
)
def test_a_manifest_names_an_endpoint_only_when_it_is_the_vendor_s_or_here(endpoint: str, taken: bool) -> None:
    """The vendor's documented hosts, over TLS, and this machine; elsewhere any host may be named."""
    assert build_settings(Layer("flags", {"endpoint": endpoint})).endpoint == endpoint
    if taken:
        assert build_settings(Layer("run", {"endpoint": endpoint}, in_manifest=True)).endpoint == endpoint
    else:
        with pytest.raises(SettingsError, match="is not a host of the vendor"):
            build_settings(Layer("run", {"endpoint": endpoint}, in_manifest=True))


def test_a_pattern_is_refused_when_it_is_longer_than_any_that_could_match() -> None:
    """An endless pattern is a wrong setting, and not the ledger's trouble in the middle of a run."""
    assert build_settings(Layer("run", {"select": "*" * 1000})).select == "*" * 1000
    with pytest.raises(SettingsError, match="select"):
        build_settings(Layer("run", {"select": "*" * 1001}))


def test_no_terminal_is_steered_when_a_manifest_is_full_of_escapes(lab: Any) -> None:
    """Whatever a complaint quotes is escaped, cut, and on one line."""
    (lab.path / "shots.yaml").write_text(
        'version: 1\nrun: {"\\e[31m\\x9b\\u202e\\npipeline: exit 0": 1, select: "\\x9b", concurrency: "\\x9b\\u202e",'
        f' max_runtime: "{"x" * 100_000}", "{"y" * 100_000}": 1}}\n'
        '"\\x9b": 1\njobs:\n- {id: "\\x9b", "\\x9b": 1, model: "\\x9b", output: "\\x9b\\u202e.mp4",'
        ' input: {"\\x9b": 1, image_url: "\\x9b", prompt: "\\x9b"}, metadata: {"\\u202e": "\\x9b"}}\n'
    )
    for command in ("validate", "run"):
        ended = lab.run(command, "shots.yaml")
        assert ended.code == 2
        assert harmless(ended.err)
        assert "\npipeline: exit 0" not in ended.err
        assert len(ended.err) < 5000


def test_a_file_is_refused_when_it_is_no_picture(lab: Any) -> None:
    """A pipe, a device, a folder, a kernel's file, a sparse file and a secret are told apart from pictures at once."""
    os.mkfifo(lab.path / "pipe.png")
    with (lab.path / "sparse.png").open("wb") as file:
        file.truncate(10**11)
    (lab.path / "secret.txt").write_text("not for the service")
    (lab.path / "link.png").symlink_to("secret.txt")
    (lab.path / "loop.png").symlink_to("loop.png")
    paths = ["pipe.png", "sparse.png", "link.png", "loop.png", "secret.txt", ".", "/dev/zero", "/dev/stdin"]
    paths += ["/proc/self/environ", "/proc/self/mem", "/proc/self/fd/0", "../../../../../../etc/passwd", "x" * 5000]
    jobs = [{"id": f"j{n}", "input": {"image_url": path, "prompt": "p"}} for n, path in enumerate(paths)]
    ended = lab.run("validate", write_jobs(lab, *jobs), limits=narrow)
    (lab.path / "sparse.png").unlink()
    assert ended.code == 2
    for number in range(len(paths)):
        assert f"job j{number}: input.image_url: " in ended.err
    assert "not for the service" not in ended.err


LEADING_OUT = ["../x", "..", "a/../../x", "/etc/x", "~/x", "{metadata.up}", "{metadata.dots}/{metadata.dots}/x"]
LEADING_OUT += ["{input.prompt}", "a/.parts/x", ".PARTS/x", "{metadata.parts}/x", "\uff0e\uff0e/x", "..\u200b/x"]
LEADING_OUT += ["\u2024\u2024/x", "..\u2044x", "a\u2215..\u2215x", ".parts\u00ad/x", "..\ufe00/x", "x\0", "\u202e/x"]


@pytest.mark.parametrize("output", LEADING_OUT)
def test_nothing_is_written_outside_when_an_output_leads_out(lab: Any, output: str) -> None:
    """Each template is refused, or leads to a name below `videos/`, whatever its fields say."""
    quickly(lab)
    job = {"id": "a", "output": output, "input": input_of("../../x")}
    job["metadata"] = {"up": "../../x", "dots": "..", "parts": ".parts"}
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        ended = lab.run("run", write_jobs(lab, job), "-v")
    assert ended.code in {0, 2}, ended.err
    assert harmless(ended.out + ended.err)
    if ended.code == 0:
        (file,) = lab.results()[0]["files"]
        assert (lab.path / FOLDER / file["path"]).resolve().is_relative_to(lab.path / FOLDER / "videos")
    written = {path for path in lab.path.rglob("*") if path.is_file()} - {lab.path / "shots.jsonl"}
    assert all(path.is_relative_to(lab.path / FOLDER) for path in written)
    assert ended.code == 0 or not written


# -- a hostile service -------------------------------------------------------------------------------------------------

ODD_ID = "a/../b\n\0\r\x1b[31m\x9b31m\u202e\u2066&task_id=other"


def answering(double: Double, **output: object) -> None:
    """Every good answer says this too."""
    double.spoil = lambda answer: {**answer, "output": {**answer["output"], **output}}


def test_a_task_is_collected_and_nothing_is_steered_when_its_id_is_full_of_escapes(lab: Any) -> None:
    """An id is opaque: it is asked about as it is, and shown escaped, on the screen and in the results."""
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        answering(double, task_id=ODD_ID, urls=[f"{double._hosts[1].url}/a.mp4"])
        seen = [lab.run("run", lab.manifest("wave"), "-v")]
    seen += [lab.run("results", FOLDER), lab.run("results", FOLDER, "--latest"), lab.run("status", FOLDER)]
    assert [ended.code for ended in seen] == [0] * 4
    assert all(harmless(ended.out + ended.err) for ended in seen)
    assert json.loads(seen[1].out)["task_id"] == json.loads(seen[2].out)["task_id"] == ODD_ID


def test_an_end_is_told_harmlessly_when_the_service_s_words_are_hostile(lab: Any) -> None:
    """A hundred kilobytes of escapes and script as a reason become a short line without the effect of either."""
    words = "\x1b]0;owned\x07\x9b2J\r\u202e<script>alert(1)</script>" * 3_000
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        answering(double, task_status="Failure", error_message=words)
        seen = [lab.run("run", lab.manifest("wave"))]
    seen += [lab.run("results", FOLDER), lab.run("status", FOLDER), lab.run("status", FOLDER, "--json")]
    assert seen[0].code == 1
    assert all(harmless(ended.out + ended.err) and len(ended.out) < 5000 for ended in seen)


@pytest.mark.parametrize("duration", [2**53 + 1, 2**65, 10**400, -(10**400)], ids=["2^53+1", "2^65", "1e400", "-1e400"])
def test_a_video_is_kept_when_its_usage_is_beyond_all_numbers(lab: Any, duration: int) -> None:
    """A measure that means nothing is no reason to lose what was paid for, nor a bug."""
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        double.spoil = lambda answer: {**answer, "usage": {"duration": duration}}
        assert lab.run("run", lab.manifest("wave")).code == 0
    assert lab.results()[0]["usage"] == {}


@pytest.mark.parametrize("task_id", ["x" * 100_000, None])
def test_nothing_is_paid_twice_when_an_id_cannot_be_kept(lab: Any, task_id: str | None) -> None:
    """An id that is too long, or that is the key itself, makes the job unknown, and it stays so."""
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        answering(double, task_id=task_id or lab.secret)
        command = ("run", lab.manifest("wave"))
        assert [lab.run(*command).code, lab.run(*command).code] == [5, 5]
        assert double.bought() == {"wave": 1}


def test_no_other_host_learns_the_key_when_the_service_writes_it_into_a_url(lab: Any) -> None:
    """Such a URL is not asked for, and stands nowhere; the job fails for want of a result."""
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        answering(double, urls=[f"http://127.0.0.1:9/{lab.secret}.mp4", f"http://127.0.0.1:9/?k={lab.secret[::-1]}"])
        ended = lab.run("run", lab.manifest("wave", download_tries=1))
        assert ended.code == 1
        assert not double.gets


BAD_URLS = ["file:///etc/passwd", "ftp://127.0.0.1/a.mp4", "data:video/mp4;base64,AAAA", "//127.0.0.1/a.mp4", "/a.mp4"]
BAD_URLS += ["http://user:pass@127.0.0.1/a.mp4", "http://127.0.0.1/a\r\nX-Injected: 1", "http://[::1", "http://", "\0"]
BAD_URLS += ["http://127.0.0.1:99999/a.mp4", "http://\u202e.example/a", "http://127.0.0.1:9/\x9b" + "a" * 40_000]


def test_each_url_is_refused_in_words_when_it_is_none_that_we_open(lab: Any) -> None:
    """Other schemes, credentials, line breaks and impossible hosts end the download, not the run."""
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        prompts = [f"job {number}" for number in range(len(BAD_URLS))]

        def spoilt(answer: dict[str, Any]) -> dict[str, Any]:
            output = answer["output"]
            number = int(output["task_id"].split("-")[0].removeprefix("job "))
            return {**answer, "output": {**output, "urls": [BAD_URLS[number]]}} if "urls" in output else answer

        double.spoil = spoilt
        ended = lab.run("run", lab.manifest(*prompts, download_tries=1))
        assert not double.gets
    assert ended.code == 1
    assert harmless(ended.out + ended.err)
    assert {line["error"]["code"] for line in lab.results()} == {"bad_url"}


# -- a hostile result host ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["url", "redirect"])
def test_the_api_s_own_host_sees_no_key_when_a_result_lies_there(lab: Any, way: str) -> None:
    """A download is a download wherever it leads: the key goes with submits and questions only."""
    seen: list[Any] = []
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        serve = double._hosts[0].answer

        def api(handler: Any) -> None:
            if handler.path.startswith("/v1/tasks/"):
                serve(handler)
            else:
                seen.append(handler.headers)
                honest(VIDEO)(handler)

        double._hosts[0].answer = api
        if way == "url":
            answering(double, urls=[f"{double.url}/result.mp4"])
        else:
            double.video = redirect(f"{double.url}/result.mp4")
        assert lab.run("run", lab.manifest("wave")).code == 0
    assert seen
    assert not [headers for headers in seen if "Authorization" in headers]


def test_no_script_and_no_escape_is_told_when_a_host_answers_with_a_page_of_them(lab: Any) -> None:
    """What a host says instead of a video is shown cut and harmless."""
    page = b"<script>alert(1)</script>\x1b]0;owned\x07\x9b31m\xc2\x9b31m\xe2\x80\xae\r" * 1000
    with Double(lambda handler: send(handler, 403, page, ETag="x" * 60_000)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        seen = [lab.run("run", lab.manifest("wave", download_tries=1))]
    seen += [lab.run("results", FOLDER), lab.run("status", FOLDER)]
    assert seen[0].code == 1
    assert all(harmless(ended.out + ended.err) and len(ended.out) < 3000 for ended in seen)


# -- hostile neighbours on this machine --------------------------------------------------------------------------------


@pytest.fixture
def honest_run(lab: Any) -> Any:
    """A run of one job that would go well in a good folder."""
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        (lab.path / "victim").write_text("precious\n")
        (lab.path / FOLDER).mkdir(parents=True)
        command = ("run", lab.manifest("wave"))
        yield lambda: lab.run(*command)


@pytest.mark.parametrize("target", ["victim", "not-there-yet"])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("results.jsonl", 0),
        (".results.jsonl.new", 0),
        ("ledger.sqlite3", 3),
        ("ledger.sqlite3-journal", None),
        ("ledger.sqlite3-wal", None),
        (".lock", 3),
    ],
)
def test_nothing_is_written_through_a_link_when_one_lies_where_a_record_goes(
    lab: Any, honest_run: Any, name: str, code: int | None, target: str
) -> None:
    """A planted link is replaced or refused; what it points to is neither changed nor made."""
    (lab.path / FOLDER / name).symlink_to(lab.path / target)
    ended = honest_run()
    assert ended.code == code or (code is None and ended.code in {0, 3})
    assert (lab.path / "victim").read_text() == "precious\n"
    assert not (lab.path / "not-there-yet").exists()
    if ended.code == 0:
        assert [line["status"] for line in lab.results()] == ["succeeded"]
    else:
        assert name.removesuffix("-wal").removesuffix("-journal") in ended.err


@pytest.mark.parametrize(
    ("name", "code"), [("results.jsonl", 0), (".results.jsonl.new", 0), ("ledger.sqlite3", 3), (".lock", 0)]
)
def test_a_run_does_not_hang_when_a_pipe_lies_where_a_record_goes(
    lab: Any, honest_run: Any, name: str, code: int
) -> None:
    """Nobody reads or writes the other end of a planted pipe, and nobody waits for them."""
    os.mkfifo(lab.path / FOLDER / name)
    assert honest_run().code == code


@pytest.mark.parametrize("plant", [os.mkfifo, lambda path: path.symlink_to("/etc/passwd")], ids=["pipe", "link"])
def test_nothing_else_is_printed_when_the_results_are_no_file(lab: Any, honest_run: Any, plant: Any) -> None:
    """`pipeline results` prints lines of a run, and says so where there are none."""
    assert honest_run().code == 0
    file = lab.path / FOLDER / "results.jsonl"
    file.unlink()
    plant(file)
    ended = lab.run("results", FOLDER)
    assert (ended.code, ended.out) == (3, "")
    assert "is no file of a run; write it anew with --rebuild" in ended.err
    assert lab.run("results", FOLDER, "--rebuild").code == 0
    assert [line["status"] for line in lab.results()] == ["succeeded"]


@pytest.mark.parametrize("link", ["videos/sub", "videos/.parts"])
def test_no_video_leaves_the_folder_when_a_link_was_planted_in_it(lab: Any, link: str) -> None:
    """A linked folder inside `videos/` ends the download or the run, and nothing is written behind it."""
    quickly(lab)
    (lab.path / "elsewhere").mkdir()
    (lab.path / FOLDER / "videos").mkdir(parents=True)
    (lab.path / FOLDER / link).symlink_to(lab.path / "elsewhere")
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        ended = lab.run("run", write_jobs(lab, {"id": "a", "output": "sub/{id}.mp4", "input": input_of()}))
        assert ended.code in {1, 3}
        assert "link" in ended.err
        assert not list((lab.path / "elsewhere").iterdir())
        (lab.path / FOLDER / link).unlink()
        assert lab.run("run", "shots.jsonl").code == 0
        assert double.bought() == {"one": 1}


def no_umask() -> None:
    os.umask(0)


@pytest.mark.parametrize("rehearse", [False, True], ids=["paid", "rehearsal"])
def test_nothing_is_everybody_s_when_the_shell_has_no_umask(lab: Any, rehearse: bool) -> None:
    """Records are their owner's alone, and whatever else is made cannot be written by others."""
    with Double(cut(VIDEO, 40_000)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        (lab.path / "tiny.yaml").write_text("clips: tiny\n")
        rehearsal = ("--rehearse", "--scenario", "tiny.yaml", "--speed", 250) if rehearse else ()
        command = ["run", lab.manifest("wave", download_tries=1), *rehearsal]
        assert lab.run(*command, limits=no_umask).code == (0 if rehearse else 1)
    made = [path for path in (lab.path / "outputs").rglob("*") if not path.is_symlink()]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [lab.path / "outputs", *made]}
    assert not [name for name, mode in modes.items() if mode & stat.S_IWOTH]
    private = [".lock", "ledger.sqlite3", "results.jsonl", *(name for name in modes if name.endswith(".mp4.json"))]
    assert {name: oct(modes[name]) for name in private} == dict.fromkeys(private, "0o600")
    assert rehearse or len(private) == 4


@pytest.mark.parametrize(
    ("kind", "owner", "user", "words"),
    [
        (stat.S_IFREG, 1000, 1000, None),
        (stat.S_IFREG, 0, 1000, None),
        (stat.S_IFREG, 1001, 1000, "belongs to another user"),
        (stat.S_IFREG, 1001, 0, None),
        (stat.S_IFLNK, 1000, 1000, "is a link, or no file at all"),
        (stat.S_IFIFO, 0, 0, "is a link, or no file at all"),
        (stat.S_IFDIR, 0, 0, "is a link, or no file at all"),
    ],
)
def test_a_ledger_is_not_trusted_when_somebody_else_put_it_there(
    kind: int, owner: int, user: int, words: str | None
) -> None:
    """A ledger names the hosts that the key goes to, so it has to be the user's own, or root's."""
    assert distrust(os.stat_result((kind | 0o600, 0, 0, 1, owner, 0, 0, 0, 0, 0)), user) == words


def test_the_key_is_never_read_from_a_neighbour_when_none_is_given(lab: Any) -> None:
    """Without a key nothing is made and nothing is asked."""
    del lab.environment["MODELVERSE_API_KEY"]
    assert lab.run("run", lab.manifest("wave")).code == 2
    assert not (Path(lab.path) / "outputs").exists()

"""Every kind of broken or hostile file: the right line and a mend, never a traceback."""

import json
import os

import pytest

from pipeline.core.errors import ManifestError
from pipeline.manifest import open_manifest

IN = "input: {image_url: 'https://e.com/a.jpg'}"
JOB = '{"id": "a", "input": {"image_url": "https://e.com/a.jpg"}}'
BOMB = (
    "jobs:\n- id: a\n  "
    + IN
    + "\n  metadata:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"    a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
)

BROKEN = {
    # name: (file name, content, line, words of the mend)
    "empty yaml": ("a.yaml", "", None, "empty; write at least one job"),
    "blank yaml": ("a.yaml", "\n# nothing\n", None, "no jobs"),
    "empty csv": ("a.csv", "", None, "empty; write at least one job"),
    "empty jsonl": ("a.jsonl", "\n \n", None, "empty; write at least one job"),
    "utf-16": ("a.yaml", "jobs: []".encode("utf-16"), 1, "UTF-16 text; save the file as UTF-8"),
    "utf-16 without mark": ("a.csv", "id,image_url".encode("utf-16-le"), 1, "UTF-16 text does; save the file as UTF-8"),
    "utf-32": ("a.jsonl", JOB.encode("utf-32"), 1, "UTF-32 text; save the file as UTF-8"),
    "no header": (
        "a.csv",
        "p1,https://e.com/a.jpg,wave at the camera\n",
        1,
        "the first line must be the header, with the names of the columns, such as id,image_url,prompt",
    ),
    "misspelt column": (
        "a.csv",
        "id,image_url,promt\na,https://e.com/a.jpg,x\n",
        1,
        "no model has a field of this name; did you mean prompt? (or metadata.promt carries it along)",
    ),
    "gbk csv": (
        "a.csv",
        "id,image_url,prompt\na,https://e.com/a.jpg,一只小猫在海边奔跑，阳光明媚\n".encode("gbk"),
        2,
        ', probably GBK; save the file as UTF-8 (in Excel as "CSV UTF-8")',
    ),
    "gbk yaml": (
        "a.yaml",
        f"jobs:\n- {IN}\n  metadata: {{x: 小猫奔跑}}\n".encode("gbk"),
        3,
        "is not UTF-8 text (byte 0xB1), probably GBK; save the file as UTF-8",
    ),
    "latin-1 csv with letters that meet": (
        "a.csv",
        "id,image_url,prompt\na,https://e.com/a.jpg,Übergrößen für Käufer\n".encode("latin-1"),
        2,
        ", probably Latin-1 or Windows-1252; save",
    ),
    **{
        f"{encoding} csv": (
            "a.csv",
            f"id,image_url,prompt\na,https://e.com/a.jpg,{text}\n".encode(encoding),
            2,
            '); save the file as UTF-8 (in Excel as "CSV UTF-8")',
        )
        for encoding, text in (
            ("cp1251", "Море волнуется раз"),
            ("euc-kr", "고양이가 해변을 달린다"),
            ("euc-jp", "猫が海辺を走る"),
            ("shift-jis", "猫が海辺を走る"),
            ("big5", "一隻小貓在海邊奔跑"),
        )
    },
    "latin-1 yaml": ("a.yaml", f"jobs:\n- {IN}\n  id: caf\xe9\n".encode("latin-1"), 3, "probably Latin-1"),
    "latin-1 csv": ("a.csv", "id,prompt\na,x\nb,caf\xe9\n".encode("latin-1"), 3, "byte 0xE9 in column 6"),
    "latin-1 jsonl": ("a.jsonl", f'{JOB}\n{{"id": "\xe9"}}'.encode("latin-1"), 2, "save the file as UTF-8"),
    "NUL yaml": ("a.yaml", f"jobs:\n- {IN}\n  id: a\0b\n", 3, "NUL byte"),
    "NUL csv": ("a.csv", "id,image_url\na,https://e.com\0\n", 2, "NUL byte"),
    "NUL jsonl": ("a.jsonl", f"{JOB}\n\0\n", 2, "NUL byte"),
    "escaped NUL": ("a.jsonl", JOB.replace("a.jpg", "\\u0000"), 1, "a NUL character; remove it"),
    "control character yaml": ("a.yaml", "jobs:\n- id: a\x1b[2J\n", 2, "control character U+001B"),
    "control character csv": ("a.csv", "image_url,prompt\nhttps://e.com/a,a\x07b\n", 2, "control character U+0007"),
    "tab indent": ("a.yaml", f"jobs:\n- id: a\n\t{IN}\n", 3, "indent with spaces"),
    "tab after key": ("a.yaml", "jobs:\n  - id: a\n    input:\n\t  image_url: x\n", 4, "indent with spaces"),
    "tag": (
        "a.yaml",
        f"jobs:\n- {IN}\n  id: !!python/object/apply:os.system x\n",
        3,
        "is not allowed; write the plain value",
    ),
    "tag on a mapping": ("a.yaml", f"jobs:\n- !!set\n  {IN}\n", 2, "the tag !!set is not allowed"),
    "alias bomb": ("a.yaml", BOMB, 9, "adds up to more than 20000 values"),
    "alias to itself": ("a.yaml", f"jobs:\n- {IN}\n  metadata: &m {{a: *m}}\n", 3, "has no anchor in this job"),
    "alias to another job": (
        "a.yaml",
        f"jobs:\n- &j {{{IN}}}\n- *j\n",
        3,
        "has no anchor in this job, nor in `defaults`",
    ),
    "merge key": ("a.yaml", f"jobs:\n- <<: {{id: a}}\n  {IN}\n", 2, "`defaults` is merged into every job"),
    "two documents": ("a.yaml", f"jobs:\n- {IN}\n---\njobs: []\n", 3, "a manifest is one document"),
    "duplicate key": ("a.yaml", f"jobs:\n- {IN}\n  id: a\n  id: b\n", 4, "given twice, first in line 3; keep one"),
    "duplicate key at depth": ("a.yaml", "jobs:\n- input:\n    prompt: a\n    prompt: b\n", 4, "keep one"),
    "duplicate top key": ("a.yaml", f"jobs:\n- {IN}\njobs: []\n", 3, "given twice, first in line 1"),
    "key that is a list": ("a.yaml", f"jobs:\n- {IN}\n  [a]: b\n", 3, "a key must be a plain word"),
    "top level list": ("a.yaml", f"- {IN}\n", 1, "write `jobs:` above it"),
    "top level text": ("a.yaml", "just a text", 1, "a mapping with the list `jobs:`"),
    "jobs missing": ("a.yaml", "version: 1\n", 1, "write the list of jobs under `jobs:`"),
    "jobs a mapping": ("a.yaml", f"version: 1\njobs:\n  {IN}\n", 2, "must be a list; write each job behind a dash"),
    "jobs empty": ("a.yaml", "version: 1\njobs:\n", 2, "is empty; write each job behind a dash"),
    "jobs an empty list": ("a.yaml", "jobs: []\n", None, "the list of jobs is empty"),
    "job a text": ("a.yaml", f"jobs:\n- {IN}\n- hello\n", 3, "a job must be a mapping"),
    "unknown top key": ("a.yaml", f"default: {{}}\njobs:\n- {IN}\n", 1, "did you mean defaults?"),
    "unknown version": ("a.yaml", f"version: 2\njobs:\n- {IN}\n", 1, "reads version 1"),
    "run a list": ("a.yaml", f"run: []\njobs:\n- {IN}\n", 1, "such as `run: {concurrency: 20}`"),
    "defaults a text": ("a.yaml", f"jobs:\n- {IN}\ndefaults: x\n", 3, "must be a mapping"),
    "id in defaults": ("a.yaml", f"defaults:\n  id: x\njobs:\n- {IN}\n", 2, "an id belongs to one job"),
    "unknown job key": ("a.yaml", f"jobs:\n- {IN}\n  paramters: {{}}\n", 3, "did you mean parameters?"),
    "field at the job's level": ("a.yaml", f"jobs:\n- {IN}\n  prompt: hi\n", 3, "it belongs under input"),
    "input a text": ("a.yaml", "jobs:\n- id: a\n  input: hi\n", 3, "must be a mapping, not 'hi'"),
    "wrong type at depth": (
        "a.yaml",
        "jobs:\n- model: kling-video-o1\n  input: {prompt: x}\n  parameters:\n    image_list:\n    - image_url: 5\n",
        6,
        "must be text, not the integer 5; put it in quotes",
    ),
    "NaN": ("a.yaml", f"jobs:\n- {IN}\n  parameters:\n    seed: .nan\n", 4, "nan is no JSON number"),
    "infinity": ("a.yaml", f"jobs:\n- {IN}\n  metadata: {{a: [1, -.inf]}}\n", 3, "-inf is no JSON number"),
    "overflowing number": ("a.yaml", f"jobs:\n- {IN}\n  metadata: {{a: 1e999}}\n", 3, "inf is no JSON number"),
    "NaN in json": ("a.jsonl", JOB.replace('"a"', '"a", "metadata": {"x": NaN}'), 1, "nan is no JSON number"),
    "infinity in json": ("a.jsonl", JOB.replace('"a"', '"a", "metadata": {"x": -Infinity}'), 1, "-inf is no JSON"),
    "huge integer": (
        "a.jsonl",
        JOB.replace('"a"', f'"a", "metadata": {{"x": {2**64}}}'),
        1,
        "64 bits; write it as text",
    ),
    "huge integer where the model wants one": (
        "a.yaml",
        f"jobs:\n- {IN}\n  parameters: {{seed: {2**64}}}\n",
        3,
        f"{2**64} is out of range; the model takes 0 to 2147483647",
    ),
    "huge integer where the model wants text": (
        "a.yaml",
        f"jobs:\n- input:\n    image_url: https://example.com/a.png\n    prompt: {2**64}\n",
        4,
        f"must be text, not the integer {2**64}; put it in quotes",
    ),
    "absurd integer": (
        "a.jsonl",
        JOB.replace('"a"', '"a", "metadata": {"x": %s}' % ("9" * 5000)),
        1,
        "thousands of digits",
    ),
    "absurd yaml integer": ("a.yaml", f"jobs:\n- {IN}\n  metadata: {{x: {'9' * 5000}}}\n", 3, "64 bits"),
    "lone surrogate": ("a.jsonl", JOB.replace('"a"', '"a", "metadata": {"x": "\\ud83d"}'), 1, "lone surrogate"),
    "lone surrogate in a key": ("a.jsonl", JOB.replace('"a"', '"a", "metadata": {"\\ud83d": 1}'), 1, "lone surrogate"),
    "deep yaml": ("a.yaml", f"jobs:\n- {IN}\n  metadata: {'[' * 40}{']' * 40}\n", 3, "deeper than 32 levels"),
    "deep json": (
        "a.jsonl",
        JOB.replace('"a"', f'"a", "metadata": {{"x": {"[" * 40}{"]" * 40}}}'),
        1,
        "deeper than 32",
    ),
    "abysmal json": ("a.jsonl", "[" * 100_000, 1, "nested too deeply"),
    "abysmal yaml": ("a.yaml", f"jobs:\n- {IN}\n- {'[' * 100_000}\n", 3, "deeper than 32 levels"),
    "not yaml": ("a.yaml", f"jobs:\n- {IN}\n  id: a: b\n", 3, "put the text in quotes"),
    "cut off yaml": ("a.yaml", 'jobs:\n- id: a\n  input: {image_url: "https://e.com', 3, "the file ends in the middle"),
    "cut off flow": ("a.yaml", f"jobs:\n- {IN}\n- {{id: b,\n", 4, "the file ends in the middle"),
    "ragged row, short": (
        "a.csv",
        "id,image_url,prompt\na,https://e.com/a\n",
        2,
        "the row has 2 cells, the header has 3",
    ),
    "ragged row, long": ("a.csv", "id,image_url\na,https://e.com/a,b,c\n", 2, "has 4 cells, the header has 2"),
    "header only": ("a.csv", "id,image_url\n", None, "a header and no row below it"),
    "duplicate header": ("a.csv", "id,prompt,prompt\na,b,c\n", 1, "names it twice (columns 2 and 3)"),
    "empty header": ("a.csv", "id,,prompt\na,b,c\n", 1, "column 2 of the header has no name"),
    "semicolons": ("a.csv", "id;image_url\na;b\n", 1, "save the file with commas"),
    "tabs": ("a.csv", "id\timage_url\na\tb\n", 1, "save the file with commas"),
    "unknown column": ("a.csv", "id,promt\na,b\n", 1, "did you mean prompt?"),
    "unknown dotted column": ("a.csv", "id,inputs.prompt\na,b\n", 1, "did you mean input?"),
    "column of a list item": ("a.csv", "id,input.images.0\na,b\n", 1, "name the column input.images"),
    "column of a section": ("a.csv", "id,input\na,b\n", 1, "write input.<field>, such as input.prompt"),
    "column of another model": (
        "a.csv",
        "image_url,aspect_ratio\nhttps://e.com/a,16:9\n",
        1,
        "has no field of this name",
    ),
    "open quote": ("a.csv", 'id,image_url\na,https://e.com/a\nb,"https://e.com/a\nc,d\n', 3, "close its double quote"),
    "text after a quote": ("a.csv", 'id,prompt\na,"x"y\n', 2, 'write "" for a quote'),
    "carriage returns": ("a.csv", "id,image_url\ra,https://e.com/a\r", 1, "LF or CRLF"),
    "cell of a wrong type": (
        "a.csv",
        "image_url,seed\nhttps://e.com/a,five\n",
        2,
        "must be an integer, not the text 'five'",
    ),
    "list that is no JSON": (
        "a.csv",
        "model,prompt,images\nhappyhorse-1.0-r2v,x,a.png\n",
        2,
        "must be an array, not the text",
    ),
    "two columns, one field": ("a.csv", "input.prompt,prompt\na,b\n", 2, "two columns give this field"),
    "trailing garbage": ("a.jsonl", f"{JOB}\n{JOB} {JOB}\n", 2, "something follows the object"),
    "torn last line": ("a.jsonl", f'{JOB}\n{{"id": "b", "inp', 2, "the file is torn here"),
    "object over lines": ("a.jsonl", '{"id": "b",\n"input": {}}', 1, "write the whole object on one line"),
    "json document": ("a.jsonl", f"[\n{JOB}\n]", 1, "looks like a JSON document"),
    "line that is no object": ("a.jsonl", f'{JOB}\n"text"\n', 2, "must be one job object, not text"),
    "line that is no json": ("a.jsonl", f"{JOB}\nid: a\n", 2, "not valid JSON in column 1"),
    "duplicate json key": (
        "a.jsonl",
        '{"id": "a", "input": {"prompt": "a", "prompt": "b"}}',
        1,
        "the key prompt is given twice",
    ),
    "JSON file": ("a.json", JOB, None, "name the file .jsonl"),
    "unknown suffix": ("a.txt", JOB, None, "a manifest is named .yaml, .yml, .csv, .jsonl or .ndjson"),
    "suffix with a slip": ("a.yalm", "jobs: []", None, "did you mean .yaml?"),
    "model a number": ("a.jsonl", '{"model": 5, "input": {}}', 1, "must be text, not 5"),
    "unknown model": ("a.jsonl", '{"model": "Wan-AI/Wan2.2-I2W", "input": {}}', 1, "did you mean Wan-AI/Wan2.2-I2V?"),
    "empty id": ("a.jsonl", JOB.replace('"a"', '" "'), 1, "is empty; leave it out"),
    "numeric id": ("a.jsonl", JOB.replace('"a"', "7"), 1, "must be text, not 7; write it in quotes"),
}


@pytest.mark.parametrize(("name", "content", "line", "mend"), BROKEN.values(), ids=BROKEN.keys())
def test_line_and_mend_are_given_when_a_file_is_broken(write, problems, name, content, line, mend):
    """Each kind of broken file is refused with the line at fault and what would be right."""
    found = problems(write(name, content))
    assert any(one.line == line and mend in one.message for one in found), [str(one) for one in found]
    assert all(one.file.endswith(name) for one in found)


def test_other_problems_are_kept_when_the_file_breaks_later(write, problems):
    """A file that cannot be read to its end still names what was wrong before."""
    found = problems(write("a.yaml", f"jobs:\n- id: a/b\n  {IN}\n- id: 'x\n"))
    assert [one.line for one in found] == [2, 5]


def test_missing_file_is_refused_when_a_neighbour_has_nearly_its_name(write):
    """A missing manifest names the one that was probably meant."""
    path = write("shots.yaml", "jobs: []")
    with pytest.raises(ManifestError, match=r"no such file; did you mean shots\.yaml\?"):
        open_manifest(path.with_name("shot.yaml"))


@pytest.mark.parametrize("name", ["", "nowhere/at/all.yaml", "bad\0name.yaml", "x" * 5000 + ".yaml"])
def test_path_is_refused_when_it_names_no_file(tmp_path, name):
    """Whatever the argument is, the answer is a `ManifestError`."""
    with pytest.raises(ManifestError):
        open_manifest(f"{tmp_path}/{name}")


def test_pipe_is_refused_when_it_is_named_like_a_manifest(tmp_path):
    """A manifest is read twice, so it must be a regular file or standard input."""
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(ManifestError, match="write - to read from standard input"):
        open_manifest(tmp_path / "a.yaml")


@pytest.mark.parametrize("size", [1_000_000, 1_000_001, 10_000_000])
@pytest.mark.parametrize("kind", ["a.csv", "a.jsonl", "a.yaml"])
def test_text_is_refused_when_it_is_longer_than_a_megabyte(write, problems, kind, size):
    """A text value has at most 1 MB."""
    text = "x" * size
    content = {
        "a.csv": f"image_url,prompt\nhttps://e.com/a,{text}\n",
        "a.jsonl": json.dumps({"input": {"image_url": "https://e.com/a", "prompt": text}}),
        "a.yaml": f"jobs:\n- input: {{image_url: 'https://e.com/a', prompt: {text}}}\n",
    }[kind]
    found = problems(write(kind, content))
    assert [one.message.split(",")[0] for one in found] == (["is longer than 1 MB"] if size > 1_000_000 else [])


def test_line_is_refused_when_it_is_longer_than_any_value_can_be(write, problems):
    """A line of more than 32 MB is not read whole."""
    (found,) = problems(write("a.jsonl", b'{"input": "' + b"x" * 32_000_000))
    assert found.line == 1
    assert "longer than 32 MB" in found.message


def test_value_is_refused_when_yaml_never_ends_it(write, problems):
    """A YAML value of more than 32 MB is not read whole."""
    (found,) = problems(write("a.yaml", b"jobs:\n- id: '" + b"x" * 33_000_000))
    assert "a single value is longer than 32 MB" in found.message


WRONG_NAMES = {
    "field": ("input", {"imageUrl": "https://e.com/a", "prompt": "x"}, "input.imageUrl", "did you mean image_url?"),
    "section": ("inputs", {"image_url": "https://e.com/a"}, "inputs", "did you mean input?"),
    "field at the job's level": ("image_url", "https://e.com/a", "image_url", "it belongs under input"),
    "misspelt field at the job's level": ("image", "https://e.com/a", "image", "did you mean input.image_url?"),
}


@pytest.mark.parametrize("case", WRONG_NAMES)
def test_nothing_is_missing_when_it_was_given_under_a_wrong_name(case, write, problems):
    """One mistake is one problem, at the place where it was made."""
    key, value, path, mend = WRONG_NAMES[case]
    (found,) = problems(write("a.jsonl", json.dumps({"id": "a", key: value})))
    assert (found.path, found.message.partition("; ")[2]) == (path, mend)


def told(path):
    """What the check raises."""
    with open_manifest(path) as manifest, pytest.raises(ManifestError) as caught:
        manifest.check()
    return caught.value


def test_all_problems_are_shown_when_there_are_a_hundred(write):
    """Each row is to be mended, and each is named."""
    error = told(write("a.csv", "image_url,seed\n" + "https://e.com/a,x\n" * 100))
    assert (len(error.problems), error.total) == (100, 100)
    assert "like it" not in str(error)


def test_first_of_each_kind_are_shown_when_there_are_more_problems_than_that(write):
    """What a script did wrong in every row hides no other mistake; all are counted."""
    rows = [f"https://e.com/{number},x,5" for number in range(1_000)]
    rows[900] = "https://e.com/900,7,-1"
    error = told(write("a.csv", "image_url,seed,duration\n" + "\n".join(rows)))
    assert [(one.line, one.path) for one in error.problems] == [
        (2, "parameters.seed"), (3, "parameters.seed"), (4, "parameters.seed"), (902, "parameters.duration"),
    ]  # fmt: skip
    assert error.problems[2].message.endswith("(and 996 more jobs like it)")
    assert error.total == 1_000
    assert "more problem" not in str(error)


def test_problems_are_capped_when_there_are_very_many_kinds(write):
    """The first hundred are shown, all are counted."""
    error = told(write("a.csv", "image_url,seed\n" + "".join(f"https://e.com/a,x{one}\n" for one in range(1_501))))
    assert (len(error.problems), error.total) == (100, 1_501)
    assert [one.line for one in error.problems] == list(range(2, 102))
    assert "… and 1,401 more problems" in str(error)


def test_message_is_harmless_when_the_input_is_hostile(write, problems):
    """Control characters and direction marks of the input are escaped, long values cut."""
    key = "\\u001b[2J\\u202e" + "y" * 500
    found = problems(write("a.jsonl", f'{{"{key}": 1, "id": "\\u001b]0;x", "input": {{"{key}": 2}}}}'))
    assert len(found) >= 3
    assert all(str(one).isprintable() and len(str(one)) < 600 for one in found)


def test_problem_in_defaults_is_said_once_when_many_jobs_inherit_it(write, problems):
    """What is wrong in `defaults` is reported at its own line and not for every job."""
    jobs = "".join(f"- {{id: j{n}, {IN}}}\n" for n in range(5))
    (found,) = problems(write("a.yaml", f"defaults:\n  parameters:\n    resolution: 480p\njobs:\n{jobs}"))
    assert (found.line, found.job_id, found.path) == (3, None, "defaults.parameters.resolution")
    assert found.message.endswith("write 480P (the spelling counts)")


def test_missing_image_is_named_when_a_job_has_none(write, problems):
    """The default model needs a picture, and the message has the documented form."""
    (found,) = problems(write("a.yaml", "jobs:\n- id: wave\n  input:\n    prompt: hi\n"))
    assert str(found).endswith(
        "a.yaml:3: job wave: input.image_url: is missing; give exactly one of input.image_url and input.first_frame_url"
    )


@pytest.mark.parametrize("header", ["p1,https://e.com/a.jpg,wave", "一,二,三", "name"])
def test_one_sentence_is_enough_when_there_is_no_header(write, problems, header):
    """A complaint about each cell of the first job would never say what is missing."""
    found = problems(write("a.csv", f"{header}\n{header}\n"))
    assert [one.line for one in found] == [1]
    assert found[0].path is None


@pytest.mark.parametrize("header", ["imge_url,promt", "zzz,id", "input.,x"])
def test_each_column_is_named_when_the_first_line_looks_like_a_header(write, problems, header):
    """Names that are nearly right, or right in part, are misspelt and no job."""
    assert all((one.path or "").startswith("column ") for one in problems(write("a.csv", f"{header}\na,b\n")))


ONE_EACH = {
    "merge key in a section": "jobs:\n- &base\n  id: b\n  input:\n    <<: {image_url: u}\n    prompt: x\n",
    "merge key in the job": "jobs:\n- id: b\n  <<: {model: kling-video-o1}\n  parameters: {mode: pro}\n",
    "merge key in defaults": "defaults:\n  input:\n    <<: {image_url: u}\njobs:\n- id: b\n- id: c\n",
    "alias of a section": "jobs:\n- id: b\n  input: *other\n",
    "alias of a value": "jobs:\n- id: b\n  input: {image_url: *other}\n",
    "alias in a sweep": "jobs:\n- id: b\n  repeat: 3\n  input: *other\n",
    "a line that stands too far left": "jobs:\n- id: b\n  parameters: {resolution: 480P}\n input: {image_url: u}\n",
    "a tab": "jobs:\n- id: b\n  parameters: {resolution: 480P}\n\tinput: {image_url: u}\n",
}


@pytest.mark.parametrize("content", ONE_EACH.values(), ids=ONE_EACH)
def test_nothing_is_called_missing_when_what_was_written_cannot_be_read(write, problems, content):
    """One mistake is one problem: what would only follow from it is not reported beside it."""
    found = problems(write("a.yaml", content))
    assert len(found) == 1, [str(one) for one in found]
    assert "is missing" not in found[0].message


def test_other_mistakes_are_still_told_when_some_of_a_job_cannot_be_read(write, problems):
    """Only what may stand in the gap is left out; a misspelt field beside it is a mistake of its own."""
    found = problems(
        write("a.yaml", "jobs:\n- id: b\n  input:\n    <<: {image_url: u}\n    promt: x\n  parameters: {seed: -1}\n")
    )
    assert [one.path for one in found] == ["input", "input.promt", "parameters.seed"]

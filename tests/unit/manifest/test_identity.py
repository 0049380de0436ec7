"""Ids, digests, duplicates, output names."""

import pytest

from pipeline.manifest.outputs import OutputError, fold, render_output
from pipeline.manifest.uniques import Uniques, mark

HEADER = "id,image_url,output,metadata.shot\n"
REQUEST = {
    "model": "Wan-AI/Wan2.2-I2V",
    "input": {"prompt": "a/b c"},
    "parameters": {"seed": 7},
    "metadata": {"shot": "12", "film": {"name": "sea"}, "list": [], "up": ".."},
}


@pytest.mark.parametrize("job_id", ["a", "7", "Wave.01_b-c", "x" * 128, "CONSOLE", "j-0"])
def test_id_is_taken_when_it_has_the_documented_form(write, jobs, job_id):
    """An id has up to 128 letters, digits, dots, underscores and hyphens, a letter or digit first."""
    assert jobs(write("a.csv", f"id,image_url\n{job_id},https://e.com/a\n"))[0].job_id == job_id


@pytest.mark.parametrize(
    ("job_id", "mend"),
    [
        ("x" * 129, "has 129 characters; an id has at most 128"),
        ("a/b", "write a-b"),
        ("../etc", "write etc"),
        ("..", "is no id"),
        ("a\\b", "write a-b"),
        ("-a", "write a"),
        (".hidden", "write hidden"),
        ("wave 1", "write wave-1"),
        ("...", "a letter or digit first; choose another id"),
        ("été", "ASCII letters, digits, '.', '_' and '-' only, a letter or digit first; U+00E9 is no ASCII letter"),
        ("w\u0430ve", "; U+0430 is no ASCII letter"),
        ("wave-\uff11", "; U+FF11 is no ASCII digit"),
        ("NUL", "reserved device name"),
        ("con.mp4", "reserved device name"),
        ("lpt1", "reserved device name"),
    ],
)
def test_id_is_refused_when_it_cannot_be_a_file_name(write, problems, job_id, mend):
    """An id that could leave a folder, or that is no name somewhere, is refused with a better one."""
    (found,) = problems(write("a.csv", f"id,image_url\n{job_id},https://e.com/a\n"))
    assert (found.line, found.path, found.job_id) == (2, "id", None)
    assert mend in found.message


def test_id_is_a_digest_of_the_purchase_when_none_is_given(write, jobs):
    """Reordering rows, other metadata and other output names change nothing about a job without an id."""
    first = jobs(write("a.csv", "image_url,output\nhttps://e.com/a,\nhttps://e.com/b,\n"))
    second = jobs(write("b.csv", "image_url,output,metadata.x\nhttps://e.com/b,x{id},\nhttps://e.com/a,y{id},1\n"))
    assert [job.digest for job in first] == [job.digest for job in reversed(second)]
    assert first[0].job_id == f"j-{first[0].digest[:20]}"
    assert first[0].output == f"{first[0].job_id}.mp4"


def test_digest_is_that_of_the_bytes_when_a_local_file_is_renamed(write, jobs):
    """A renamed file with the same bytes is the same purchase; other bytes are another."""
    path = write("a.csv", "id,image_url\na,pic.png\nb,./copy.png\nc,other.png\n")
    picture = (path.parent / "pic.png").read_bytes()
    (path.parent / "copy.png").write_bytes(picture)
    (path.parent / "other.png").write_bytes(picture + b"!")
    a, b, c = jobs(path)
    assert a.digest == b.digest != c.digest


@pytest.mark.parametrize(
    ("name", "content", "line", "message"),
    [
        (
            "a.csv",
            f"{HEADER}a,https://e.com/a,,\nb,https://e.com/a,,\na,https://e.com/b,,\n",
            4,
            "already used in line 2",
        ),
        (
            "a.csv",
            f"{HEADER},https://e.com/a,,\nb,https://e.com/a,,\n,https://e.com/a,,9\n",
            4,
            "exact duplicate of line 2",
        ),
        (
            "a.csv",
            f"{HEADER}a,https://e.com/a,x.mp4,\nb,https://e.com/b,x,\n",
            3,
            "'x.mp4' is also the output of line 2 (job a)",
        ),
        ("a.csv", f"{HEADER}a,https://e.com/a,,\nA,https://e.com/b,,\n", 3, "one file; choose another name"),
        (
            "a.csv",
            f"{HEADER}a,https://e.com/a,caf\u00e9,\nb,https://e.com/b,cafe\u0301,\n",
            3,
            "in another case or Unicode form",
        ),
        (
            "a.csv",
            f"{HEADER}a,https://e.com/a,stra\u00dfe,\nb,https://e.com/b,STRASSE,\n",
            3,
            "in another case or Unicode",
        ),
        (
            "a.yaml",
            (
                "defaults: {output: all.mp4}\njobs:\n- {id: a, input: {image_url: 'https://e.com/a'}}\n"
                "- {id: b, input: {image_url: 'https://e.com/a'}}\n"
            ),
            4,
            "put {id} into the template",
        ),
    ],
)
def test_second_row_is_reported_when_a_name_occurs_twice(write, problems, name, content, line, message):
    """Ids, jobs without ids and outputs are unique, also where a file system folds case and Unicode."""
    (found,) = problems(write(name, content))
    assert found.line == line
    assert message in found.message


def test_every_repetition_is_reported_when_an_id_occurs_often(write, problems):
    """All rows but the first are named, beside the rows' other problems."""
    found = problems(write("a.csv", "id,image_url,seed\na,https://e.com/a,x\na,https://e.com/b,\na,https://e.com/c,\n"))
    assert [(one.line, one.path) for one in found] == [(2, "parameters.seed"), (3, "id"), (4, "id")]


def test_mark_is_found_again_when_a_key_was_added_twice():
    """Among many keys exactly those that were added twice are found."""
    keys = Uniques()
    keys.update(f"key-{number}" for number in range(2000))
    assert keys.repeated() == frozenset()
    keys.update(["key-7"])
    assert keys.repeated() == {mark("key-7")}


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("{id}.mp4", "wave.mp4"),
        ("{id}", "wave.mp4"),
        ("{id}.final", "wave.final.mp4"),
        ("{id}.MOV", "wave.MOV"),
        ("a/b/{id}.webm", "a/b/wave.webm"),
        ("{model}/{line}", "Wan-AI-Wan2.2-I2V/3.mp4"),
        ("{metadata.shot}-{parameters.seed}", "12-7.mp4"),
        ("{metadata.film.name}/{{{id}}}", "sea/{wave}.mp4"),
        ("{input.prompt}", "a-b-c.mp4"),
        ("夜/{id} 🌊", "夜/wave 🌊.mp4"),
        ("a..b", "a..b.mp4"),
        ("x" * 196 + ".mp4", "x" * 196 + ".mp4"),
    ],
)
def test_output_is_filled_in_when_the_template_is_sound(template, output):
    """Fields become names, values never become folders, and a missing suffix is added."""
    assert render_output(template, "wave", 3, REQUEST) == output


@pytest.mark.parametrize(
    ("template", "mend"),
    [
        ("/etc/{id}", "write a path relative to it"),
        ("~/x", "write a path relative to it"),
        ("C:/x", "some systems refuse"),
        ("../{id}", "leaves the output folder with '..'"),
        ("a/../../{id}", "leaves the output folder with '..'"),
        ("{metadata.up}/x", "leaves the output folder with '..'"),
        ("a\\b", "separate folders with /"),
        ("a//b", "has an empty part"),
        ("./a", "has an empty part"),
        ("a/", "names no file"),
        ("", "names no file"),
        (".parts/{id}", "choose another folder"),
        (".PARTS/{id}", "choose another folder"),
        ("NUL/{id}", "contains 'NUL', a reserved device name on Windows; choose another name"),
        ("aux.mp4", "'aux.mp4' is a reserved device name on Windows; choose another name"),
        ("a\nb", "control character"),
        ("a\u2028b", "line break"),
        ("a /b", "ends with a dot or a space"),
        ("a./b", "ends with a dot or a space"),
        ("x" * 197 + ".mp4", "longer than 200 bytes"),
        ("é" * 99 + ".mp4", "longer than 200 bytes"),
        ("/".join(["x" * 190] * 6), "longer than 1000 bytes"),
        ("a.mp4/{id}", "a folder that is named like a video"),
        ("a.MP4.json/{id}", "a folder that is named like a video or its sidecar"),
        ("{idd}", "did you mean id?"),
        ("{metdata.shot}", "did you mean metadata?"),
        ("{metadata.shto}", "did you mean shot?"),
        ("{metadata}", "no field {metadata}"),
        ("{metadata.list}", "a text or a number can"),
        ("{id", "brace without its partner"),
        ("id}", "brace without its partner"),
        ("{id!r}", "no field {id!r}"),
        ("{id.__class__}", "no field"),
    ],
)
def test_output_is_refused_when_it_is_no_safe_name(template, mend):
    """An output stays below its folder, under names that every system takes."""
    with pytest.raises(OutputError) as caught:
        render_output(template, "wave", 3, REQUEST)
    assert mend in str(caught.value)


def test_output_template_is_checked_when_the_id_is_wrong_too(write, problems):
    """A row's problems are reported together."""
    found = problems(write("a.csv", "id,image_url,output\na/b,https://e.com/a,../x\n"))
    assert [one.path for one in found] == ["id", "output"]


def test_folds_are_equal_when_names_differ_in_case_or_form():
    """One name in two cases or two Unicode forms is one file on some systems."""
    assert fold("Caf\u00e9/A.MP4") == fold("cafe\u0301/a.mp4") != fold("cafe/a.mp4")

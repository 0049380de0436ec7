"""Sweeps and templates as a user writes them: manifests in, jobs or problems out."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import ManifestError
from pipeline.manifest import open_manifest

URL = "https://example.com/a.jpg"
INPUT = f"first_frame_url: {URL}"


def sweep(job: str, more: str = "") -> str:
    """A manifest with one job, its members indented by two."""
    return f"defaults:\n  input: {{{INPUT}, prompt: waves}}\njobs:\n- {job.strip()}\n{more}"


GRID = """
id: "surf-{time}-{style}"
  input: {prompt: "a surfer at {time}, {style}, {{raw}}"}
  metadata: {film: sea}
  output: "{metadata.film}/{time}/{id}-{seed}"
  matrix:
    time: [dawn, noon]
    style: [oil painting, photo]
    seed: [7]
    exclude:
    - {time: noon, style: photo}
    include:
    - {time: night, style: photo, seed: 9, duration: 8}
    - {style: photo, metadata.note: sharp}
"""


def test_jobs_are_multiplied_out_when_one_has_a_matrix(write, jobs):
    """Fields are set, variables fill templates, `exclude` takes away and `include` adds."""
    made = jobs(write("a.yaml", sweep(GRID)))
    outputs = [job.output for job in made]
    assert [job.input["prompt"] for job in made] == [
        "a surfer at dawn, oil painting, {raw}",
        "a surfer at dawn, photo, {raw}",
        "a surfer at noon, oil painting, {raw}",
        "a surfer at night, photo, {raw}",
    ]
    assert [job.parameters for job in made] == [{"seed": 7}] * 3 + [{"seed": 9, "duration": 8}]
    assert [job.metadata for job in made][:2] == [{"film": "sea"}, {"film": "sea", "note": "sharp"}]
    assert [job.job_id.rpartition("-")[0] for job in made][:2] == ["surf-dawn-oil-painting", "surf-dawn-photo"]
    assert outputs[0] == f"sea/dawn/{made[0].job_id}-7.mp4"
    assert {job.source.line for job in made} == {4}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[dawn, noon]", "[late, dawn, noon, dusk]"),
        ("[oil painting, photo]", "[photo, oil painting, ink]"),
        ("seed: [7]", "seed: [3, 7, 8]"),
        ("metadata.note: sharp", "metadata.note: reworded"),
        ("film: sea", "film: shore"),
        ("    include:\n", "    include:\n    - {time: midnight, style: photo, seed: 1}\n"),
    ],
)
def test_ids_stay_when_values_are_added_or_reordered(write, jobs, old, new):
    """No id depends on where a value stands, on how many there are, or on a remark in the metadata."""
    before = {job.job_id: job.digest for job in jobs(write("a.yaml", sweep(GRID)))}
    after = {job.job_id: job.digest for job in jobs(write("b.yaml", sweep(GRID.replace(old, new))))}
    assert old in GRID
    assert before.items() <= after.items()


def test_id_is_exactly_the_template_when_it_names_every_value(write, jobs):
    """A digest stands in an id only for values that the id does not name, by any of their names."""
    job = 'id: "{style}-{parameters.seed}"\n  input: {prompt: "{style}"}\n  matrix: {style: [oil], seed: [1, 2]}'
    assert [job.job_id for job in jobs(write("a.yaml", sweep(job)))] == ["oil-1", "oil-2"]


def test_id_is_told_apart_by_include_when_no_list_does_it(write, jobs):
    """What `include` adds is no part of an id that names some of it, nor of a combination of the lists."""
    entries = "include: [{style: oil, seed: 1}, {style: ink, seed: 2}]"
    named, bare = (
        [
            job.job_id
            for job in jobs(write("a.yaml", sweep(f"id: '{one}'\n  output: '{{style}}'\n  matrix: {{{entries}}}")))
        ]
        for one in ("a-{style}", "a")
    )
    assert named == ["a-oil", "a-ink"]
    assert [len(job_id) for job_id in set(bare)] == [len("a-") + 12] * 2


def test_ids_are_digests_of_the_purchase_when_a_sweep_has_none(write, jobs):
    """Without an id, variants are known by what they buy, as other jobs are."""
    job = 'input: {prompt: "{style}"}\n  matrix: {style: [oil, ink]}'
    same = "jobs:\n" + "".join(f"- input: {{{INPUT}, prompt: {style}}}\n" for style in ("oil", "ink"))
    assert [job.job_id for job in jobs(write("a.yaml", sweep(job)))] == [
        job.job_id for job in jobs(write("b.yaml", same))
    ]


def test_models_differ_when_the_matrix_lists_them(write, jobs):
    """`model` is a field like others; a bare name is resolved for all the models together."""
    job = "id: m\n  matrix:\n    model: [Wan-AI/Wan2.2-I2V, Wan-AI/Wan2.2-T2V]\n    duration: [5, 8]"
    text = sweep(job).replace(INPUT, "negative_prompt: rain")
    (found,) = errors(write("a.yaml", text))
    assert found.message.endswith("(in model=Wan-AI/Wan2.2-I2V, duration=5)")  # it wants a picture
    text = sweep(job).replace("[Wan-AI/Wan2.2-I2V, ", "[").replace(f"{INPUT}, ", "")
    assert [job.parameters for job in jobs(write("b.yaml", text))] == [{"duration": 5}, {"duration": 8}]


def errors(path):
    """The problems of a manifest."""
    with open_manifest(path) as manifest, pytest.raises(ManifestError) as caught:
        manifest.check()
    return caught.value.problems


def test_takes_have_distinct_seeds_when_a_job_is_repeated(write, jobs):
    """The first take keeps the job's id; more takes change nothing about those that were there."""
    few, many = (
        {job.job_id: job.parameters["seed"] for job in jobs(write("a.yaml", sweep(f"id: wave\n  repeat: {takes}")))}
        for takes in (2, 5)
    )
    assert list(many) == ["wave", "wave-take2", "wave-take3", "wave-take4", "wave-take5"]
    assert few.items() <= many.items()
    assert len(set(many.values())) == 5


def test_seeds_count_on_when_a_repeated_job_has_one(write, jobs):
    """The job's own seed is the first take's; the id may name the seed or the take, and digests do without an id."""
    job = 'id: "wave-{take}-{seed}"\n  parameters: {seed: 41}\n  repeat: 2'
    assert [job.job_id for job in jobs(write("a.yaml", sweep(job)))] == ["wave-1-41", "wave-2-42"]
    made = jobs(write("b.yaml", sweep("repeat: 2")))
    assert len({job.job_id for job in made}) == 2
    assert [job.parameters for job in jobs(write("c.yaml", sweep("id: a\n  parameters: {seed: 3}")))] == [{"seed": 3}]


def test_every_variant_is_repeated_when_a_job_has_both(write, jobs):
    """`matrix` and `repeat` multiply, and each variant has seeds of its own."""
    job = 'id: "{style}"\n  input: {prompt: "{style}, {take}"}\n  matrix: {style: [oil, ink]}\n  repeat: 2'
    made = jobs(write("a.yaml", sweep(job)))
    assert [job.job_id for job in made] == ["oil", "oil-take2", "ink", "ink-take2"]
    assert [job.input["prompt"] for job in made] == ["oil, 1", "oil, 2", "ink, 1", "ink, 2"]
    assert len({job.parameters["seed"] for job in made}) == 4


def test_takes_differ_by_id_alone_when_the_model_has_no_seed(write, jobs):
    """A model without seeds gets the same request again: with an id that is a wish, without one a duplicate."""
    text = (
        "jobs:\n- id: a\n  model: MiniMax-Hailuo-02\n  input: {prompt: x}\n  parameters: {duration: 6}\n  repeat: 2\n"
    )
    first, second = jobs(write("a.yaml", text))
    assert (first.job_id, second.job_id, first.digest) == ("a", "a-take2", second.digest)
    (found,) = errors(write("b.yaml", text.replace("id: a\n  ", "")))
    assert found.message == (
        "is an exact duplicate of line 2 (take 1); give both an id if the video is wanted twice (in take 2)"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.csv",
            (
                "id,input.first_frame_url,prompt,resolution,metadata.shot\n"
                "s-{shot}-{resolution},https://e.com/{id}.jpg,shot {shot} of {metadata.shot} in {resolution},480P,7\n"
            ),
        ),
        (
            "a.jsonl",
            (
                '{"id": "s-{shot}-{resolution}", "input": {"first_frame_url": "https://e.com/{id}.jpg", "prompt": '
                '"shot {shot} of {metadata.shot} in {resolution}"}, "parameters": {"resolution": "480P"}, '
                '"metadata": {"shot": "7"}}\n'
            ),
        ),
    ],
)
def test_rows_fill_their_templates_when_they_name_their_own_columns(write, jobs, name, text):
    """CSV and JSONL rows fill ids, prompts and addresses from metadata and fields, by bare or dotted names."""
    (job,) = jobs(write(name, text))
    assert job.job_id == "s-7-480P"
    assert job.input == {"first_frame_url": "https://e.com/s-7-480P.jpg", "prompt": "shot 7 of 7 in 480P"}


def test_jsonl_rows_are_multiplied_out_when_they_carry_a_sweep(write, jobs):
    """A JSONL row is a job object like those of YAML, `matrix` and `repeat` with it, also between plain rows."""
    plain = '{"id": "%s", "input": {"first_frame_url": "https://e.com/a", "prompt": "x"}}\n'
    swept = plain.replace("}}", '}, "matrix": {"style": ["oil", "ink"]}, "repeat": 2}') % "{style}"
    ids = [job.job_id for job in jobs(write("a.jsonl", plain % "a" + swept + plain % "b"))]
    assert ids == ["a", "oil", "oil-take2", "ink", "ink-take2", "b"]


def test_prompt_of_defaults_is_filled_when_each_job_has_its_own_values(write, jobs):
    """A template may stand in `defaults`; every job fills it for itself."""
    text = (
        f'defaults: {{input: {{{INPUT}, prompt: "{{who}} walks"}}, output: "{{who}}"}}\njobs:\n'
        "- {metadata: {who: robot}}\n- {metadata: {who: a cat}, input: {negative_prompt: rain}}\n"
    )
    made = jobs(write("a.yaml", text))
    assert [(job.input["prompt"], job.output) for job in made] == [
        ("robot walks", "robot.mp4"),
        ("a cat walks", "a-cat.mp4"),
    ]
    assert made[1].input["negative_prompt"] == "rain"


@pytest.mark.parametrize(
    "prompt", ["{", "}", "{}", "{{x}}", "a {name} b", '{"camera": "pan"}', "{a: {b}}", "{metadata}", "{x!r}"]
)
def test_braces_stay_text_when_the_job_has_no_such_value(write, jobs, prompt):
    """A prompt that names nothing that the job has is sent as it was written, character by character."""
    text = f"jobs:\n- id: a\n  input: {{{INPUT}, prompt: '{prompt}'}}\n  metadata: {{shot: 1}}\n"
    assert jobs(write("a.yaml", text))[0].input["prompt"] == prompt


def test_warning_is_given_once_when_a_word_in_braces_stays_text(write):
    """What looks like a name and is none may be a slip: it is said, with the nearest name."""
    row = '{"input": {"first_frame_url": "https://e.com/%d", "prompt": "a {sht}"}, "metadata": {"shot": 1}}\n'
    with open_manifest(write("a.jsonl", "".join(row % n for n in range(3)))) as manifest:
        (warning,) = manifest.check().warnings
    assert str(warning).endswith(
        "1: input.prompt: the job has no {sht} to fill in, so the text keeps it as it stands; did you mean shot?"
    )


@pytest.mark.parametrize(
    ("name", "text", "line", "path", "mend"),
    [
        ("a.jsonl", '{"id": "a-{shto}", "metadata": {"shot": 1}}', 1, "id", "no field {shto} to fill in; did you mean"),
        ("a.jsonl", '{"id": "a-{line}"}', 1, "id", "no field {line}"),
        ("a.jsonl", '{"id": "{id}"}', 1, "id", "no field {id}"),
        ("a.jsonl", '{"id": "a", "output": "{shto}", "metadata": {"shot": 1}}', 1, "output", "did you mean shot?"),
        ("a.jsonl", '{"id": "a", "input": {"prompt": "{metadata.x}"}}', 1, "input.prompt", "no field {metadata.x}"),
        ("a.jsonl", '{"input": {"prompt": "{s} {t}"}, "metadata": {"s": 1}}', 1, "input.prompt", "no field {t}"),
        ("a.jsonl", '{"input": {"prompt": "{s} }"}, "metadata": {"s": 1}}', 1, "input.prompt", "{{ for a brace"),
        ("a.jsonl", '{"input": {"prompt": "{s}"}, "metadata": {"s": []}}', 1, "input.prompt", "a text or a number"),
        ("a.csv", "prompt,metadata.mood\na {mood} sea,\n", 2, "input.prompt", "no field {mood}"),
        ("a.yaml", sweep('id: "{sed}"\n  matrix: {seed: [1]}'), 4, "id", "did you mean seed?"),
        ("a.yaml", sweep('id: a\n  input:\n    prompt: "{x}"\n  matrix: {seed: [1]}'), 6, "input.prompt", "{x}"),
        ("a.yaml", sweep("id: a\n  output: '{x}'\n  matrix: {seed: [1]}"), 5, "output", "no field {x}"),
        ("a.yaml", sweep("id: a\n  matrix:\n    sed: [1]"), 6, "matrix.sed", "no such field; did you mean seed?"),
        ("a.yaml", sweep("id: a\n  matrix:\n    id: [b]"), 6, "matrix.id", "ids are derived from the values"),
        ("a.yaml", sweep("id: a\n  matrix:\n    input: [b]"), 6, "matrix.input", "write input.<field>"),
        ("a.yaml", sweep("id: a\n  matrix:\n    a b: [b]"), 6, "matrix.a b", "is no name"),
        ("a.yaml", sweep("id: a\n  matrix:\n    inputs.a: [b]"), 6, "matrix.inputs.a", "did you mean input?"),
        ("a.yaml", sweep("id: a\n  matrix:\n    input.a.0: [b]"), 6, "matrix.input.a.0", "give input.a whole"),
        ("a.yaml", sweep("id: a\n  matrix:\n    input..a: [b]"), 6, "matrix.input..a", "write it as input.<field>"),
        (
            "a.yaml",
            sweep("id: a\n  matrix:\n    seed: [1]\n    parameters.seed: [2]"),
            7,
            "matrix.parameters.seed",
            "gives a field that seed gives too",
        ),
        (
            "a.yaml",
            sweep("id: a\n  matrix:\n    seed: [1]\n    exclude:\n    - seed: 1"),
            5,
            "matrix",
            "leaves no job",
        ),
        (
            "a.yaml",
            sweep("id: a\n  matrix:\n    metadata.mood: [x]\n    exclude:\n    - mood: x"),
            8,
            "matrix.exclude.0.mood",
            "has no such list; did you mean metadata.mood?",
        ),
        ("a.yaml", sweep("id: a\n  matrix: {seed: [1]}\n  repeat: 2"), 6, "repeat", "the matrix gives the seeds"),
        ("a.yaml", sweep("id: a\n  repeat: 0"), 5, "repeat", "a whole number of jobs, such as 4, not 0"),
        ("a.yaml", sweep("id: a\n  repeat: yes"), 5, "repeat", "not 'yes'"),
        ("a.yaml", sweep("id: a\n  repeat: true"), 5, "repeat", "not true"),
        ("a.yaml", sweep("id: a\n  repeats: 2"), 5, "repeats", "did you mean repeat?"),
        ("a.yaml", "defaults:\n  repeat: 2\njobs: []\n", 2, "defaults.repeat", "`repeat` belongs to one job"),
        ("a.yaml", "defaults:\n  matrix: {a: [1]}\njobs: []\n", 2, "defaults.matrix", "a matrix belongs to one job"),
    ],
)
def test_mistake_is_named_when_a_sweep_or_template_has_one(write, problems, name, text, line, path, mend):
    """Every mistake comes with its line, its place and what would be right."""
    found = next(one for one in problems(write(name, text)) if one.path == path)
    assert found.line == line
    assert mend in found.message


def test_variant_is_named_when_only_one_is_wrong(write, problems):
    """A problem of one variant stands at the line of the value at fault, and says which variant it is."""
    (found,) = problems(write("a.yaml", sweep('id: "a-{duration}"\n  matrix:\n    duration:\n    - 5\n    - 10')))
    assert (found.line, found.job_id, found.path) == (8, "a-10", "parameters.duration")
    assert found.message.endswith("(in duration=10)")


def test_problem_is_said_once_when_every_variant_has_it(write, problems):
    """A mistake in a sweep of a thousand is one mistake."""
    job = f"id: a\n  parameters: {{resolution: 481P}}\n  matrix: {{seed: {list(range(1000))}}}"
    (found,) = problems(write("a.yaml", sweep(job)))
    assert (found.line, found.path) == (5, "parameters.resolution")
    assert found.message.endswith("(in seed=0)")


def test_second_variant_is_named_when_two_have_one_id_or_output(write, problems):
    """What occurs twice within a sweep is told by its variants."""
    job = "id: '{style}'\n  input: {prompt: '{style}'}\n  matrix: {style: [a b, a/b]}"
    (found,) = problems(write("a.yaml", sweep(job)))
    assert found.message == ("the id is already used in line 4 (style=a b); every job needs its own (in style=a/b)")
    (found,) = problems(write("c.yaml", sweep("id: a\n  output: x\n  matrix: {seed: [1, 2]}")))
    assert "put {id} into the template or choose another name (in seed=2)" in found.message


def test_variable_is_no_mistake_when_include_goes_by_it(write, jobs):
    """A list that no template names may still choose what `include` adds."""
    include = "[{kind: calm, seed: 1}, {kind: wild, seed: 2}]"
    job = f"id: a\n  matrix:\n    kind: [calm, wild]\n    include: {include}"
    assert [job.parameters["seed"] for job in jobs(write("a.yaml", sweep(job)))] == [1, 2]


def test_matrix_wins_when_the_job_gives_the_field_too(write, jobs):
    """A listed value replaces the job's own, and that of `defaults`."""
    job = "id: a\n  parameters: {seed: 1, duration: 5}\n  matrix: {seed: [2], metadata.film: [sea]}"
    (made,) = jobs(write("a.yaml", sweep(job)))
    assert (made.parameters, made.metadata) == ({"seed": 2, "duration": 5}, {"film": "sea"})


def test_local_file_is_found_when_its_name_is_filled_in(write, jobs):
    """A path is a text under `input` like others."""
    job = "id: a\n  input: {first_frame_url: '{picture}.png'}\n  matrix: {picture: [pic]}"
    assert jobs(write("a.yaml", sweep(job)))[0].files[0].path.endswith("/pic.png")


def test_large_sweep_is_checked_when_it_streams(write):
    """Thousands of variants are jobs like others, at sixteen bytes each while they are checked."""
    side = [f"v{n}" for n in range(50)]
    job = f"id: '{{a}}-{{b}}'\n  input: {{prompt: '{{a}} {{b}}'}}\n  matrix: {{a: {side}, b: {side}}}"
    with open_manifest(
        write("a.yaml", sweep(job.replace("'v", "v").replace("',", ",").replace("']", "]")))
    ) as manifest:
        assert manifest.check().jobs == 2500
        assert [job.job_id for job, _ in zip(manifest.jobs(), "ab", strict=False)] == ["v0-v0", "v0-v1"]


SOUND = sweep(GRID, '- {id: "t-{take}", repeat: 2}\n- id: "m-{n}"\n  metadata: {n: 1}\n').encode()
SCRAPS = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"- ",
        b",",
        b"{{",
        b"{id}",
        b"{}",
        b".",
        b"id",
        b"seed",
        b"matrix",
        b"*a",
        b"&a ",
        b"~",
    ]
)


@settings(max_examples=150)
@given(data=st.data())
def test_only_manifest_errors_come_out_when_a_sweep_is_mutilated(data):
    """No change to a sweep makes the expansion fall over, and no message has anything unprintable in it."""
    content = SOUND
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 12)))
        content = content[:start] + data.draw(SCRAPS | st.binary(max_size=3)) + content[end:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.yaml"
        path.write_bytes(content)
        with contextlib.suppress(ManifestError), open_manifest(path) as manifest:
            try:
                manifest.check()
            except ManifestError as error:
                assert all(str(one).isprintable() for one in error.problems)  # noqa: PT017 - a check may also find nothing
            list(manifest.jobs())

"""Scenario files: what they may say, and how a wrong one is refused."""

from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.emulator.scenario import KINDS, Scenario, Trouble

CONFIGS = Path(__file__).parents[3] / "configs"


def write(folder: Path, text: str) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted((CONFIGS / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_scenario_is_loaded_when_it_ships_with_the_project(path):
    """Every scenario of configs/ loads and scripts something."""
    assert Scenario.load(path) != Scenario()


def test_scenario_is_the_default_when_the_file_is_empty(tmp_path):
    """A file that says nothing is the sane default."""
    assert Scenario.load(write(tmp_path, "# nothing\n")) == Scenario()


def test_rules_are_read_when_a_file_lists_them(tmp_path):
    """A rule of a file is the same value as the one written in Python."""
    path = write(tmp_path, "trouble:\n  - {at: submit, do: rate_limit, nth: [2, 3], retry_after: 1.5}\n")
    assert Scenario.load(path).trouble == (Trouble(at="submit", do="rate_limit", nth=(2, 3), retry_after=1.5),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("paralel: 3", "paralel: there is no such key; did you mean parallel?"),
        ("parallel: 0", "parallel: Expected int >= 1"),
        ("parallel: many", "parallel: Expected int, got str"),
        ("trouble: 5", "trouble: Expected array, got int"),
        ("trouble: [{at: submit, do: drop, chanse: 1}]", "trouble[0].chanse: there is no such key; did you mean"),
        ("trouble: [{at: submit, do: drop}, {at: status, do: drop, chance: 2}]", "trouble[1].chance: Expected float"),
        ("trouble: [{at: submit, do: ratelimit}]", "at submit there is no 'ratelimit'; did you mean rate_limit?"),
        ("trouble: [{at: status, do: drop, accepted: true}]", "only a submit can be accepted"),
        ("trouble: [{at: task, do: stick, first: 2}]", "use until"),
        ("trouble: [{at: submit, do: drop, retry_after: 3}]", "retry_after: means nothing to 'drop'"),
        ("- 1", "must be a mapping"),
        ("a: [", "is not valid YAML"),
        ("a: !!python/object:os.system {}", "is not valid YAML"),
    ],
)  # fmt: skip
def test_scenario_is_refused_when_it_says_something_wrong(tmp_path, text, said):
    """One sentence names the file, the key and what would be right."""
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        Scenario.load(path)
    assert caught.value.message.startswith(str(path))
    assert said in caught.value.message


def test_scenario_is_refused_when_the_file_cannot_be_read(tmp_path):
    """A missing file, a folder and another encoding are each one sentence."""
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("moderated: [café]".encode("latin-1"))
    for path in (tmp_path / "none.yaml", tmp_path, latin):
        with pytest.raises(UsageError, match=r"cannot be read|is not UTF-8"):
            Scenario.load(path)


def test_rule_strikes_about_as_often_as_its_chance_says_when_it_has_one():
    """A chance is met by its share of the calls, and by the same calls every time."""
    scenario = Scenario(trouble=(Trouble(at="submit", do="drop", chance=0.3),))
    struck = [position for position in range(1, 1001) if scenario.pick("submit", position)]
    assert 240 < len(struck) < 360
    assert struck == [position for position in range(1, 1001) if scenario.pick("submit", position)]


def test_rule_keeps_to_its_positions_when_they_are_given():
    """`since` and `until` are both included."""
    scenario = Scenario(trouble=(Trouble(at="submit", do="drop", since=3, until=5),))
    assert [position for position in range(1, 8) if scenario.pick("submit", position)] == [3, 4, 5]


def test_first_rule_wins_when_several_strike():
    """Rules are tried in order, and those for other places do not count."""
    rules = (
        Trouble(at="status", do="empty"),
        Trouble(at="submit", do="drop", prompt="Wave"),
        Trouble(at="submit", do="html"),
    )
    scenario = Scenario(trouble=rules)
    assert scenario.pick("submit", 1, prompt="the wave breaks") is rules[1]
    assert scenario.pick("submit", 2, prompt="calm") is rules[2]


def test_every_kind_makes_a_rule_when_nothing_else_is_said():
    """Each word for `do` works on its own."""
    assert all(Trouble(at=at, do=do) for at, kinds in KINDS.items() for do in kinds)

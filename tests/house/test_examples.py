"""Everything under configs/ can be used as it lies there."""

from pathlib import Path

import pytest

from pipeline.emulator import Scenario
from pipeline.manifest import open_manifest
from pipeline.settings import NAMES, Layer, Settings, build_settings, config_file_layer

CONFIGS = Path(__file__).parents[2] / "configs"
SETTINGS = [CONFIGS / "settings.yaml"]
MANIFESTS = [
    path
    for path in sorted(CONFIGS.iterdir())
    if path.suffix in {".yaml", ".yml", ".csv", ".jsonl"} and path not in SETTINGS
]
SCENARIOS = sorted((CONFIGS / "scenarios").glob("*.yaml"))


def test_there_are_examples_of_every_kind_when_configs_is_read() -> None:
    """A demo, the settings and several scenarios ship with the project."""
    assert CONFIGS / "demo.yaml" in MANIFESTS
    assert len(SCENARIOS) >= 5


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_an_example_manifest_is_valid_when_it_is_checked(path: Path) -> None:
    """Every manifest under configs/ has jobs, no problem, and settings that exist."""
    with open_manifest(path) as manifest:
        assert manifest.check().jobs > 0
        assert isinstance(build_settings(Layer(path.name, manifest.run)), Settings)


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.name)
def test_example_settings_hold_the_defaults_when_they_are_loaded(path: Path) -> None:
    """The example changes nothing, so that it can be copied and edited line by line."""
    assert build_settings(config_file_layer(path)) == Settings()


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_explained_when_the_example_settings_are_read(name: str) -> None:
    """Every setting stands in configs/settings.yaml, commented out where it has no default."""
    lines = SETTINGS[0].read_text(encoding="utf-8").splitlines()
    assert any(line.lstrip("# ").startswith(f"{name}:") for line in lines)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.name)
def test_an_example_scenario_loads_when_it_is_read(path: Path) -> None:
    """Every scenario under configs/scenarios/ is one that the emulator can play."""
    assert Scenario.load(path) != Scenario()

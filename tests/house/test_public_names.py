"""The names that other programs may rely on."""

import subprocess
import sys

import pytest

import pipeline

PUBLIC = [
    *("Manifest", "PipelineError", "Result", "Run", "Settings", "Summary", "__version__", "open_manifest", "run"),
]


def test_the_public_names_are_pinned_when_the_package_changes() -> None:
    """A name is added or taken away on purpose, here and there."""
    assert sorted(pipeline.__all__) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_when_it_is_asked_for(name: str) -> None:
    """Every public name can be imported from the package itself."""
    assert getattr(pipeline, name) is not None


def test_an_attribute_error_is_raised_when_a_name_is_not_public() -> None:
    """The package names what it does not have."""
    with pytest.raises(AttributeError, match="no attribute 'Batches'"):
        pipeline.Batches  # noqa: B018 - the access is the test


def test_nothing_of_the_engine_is_imported_when_the_package_is() -> None:
    """`import pipeline` costs next to nothing."""
    code = "import pipeline, sys; print([m for m in sys.modules if m.startswith('pipeline.')])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"

"""Settings: five places in their order, values typed and checked once, and every complaint with its origin."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import SettingsError
from pipeline.settings import (
    DEFAULT_ENDPOINT,
    NAMES,
    OWNERS,
    Layer,
    Settings,
    build_settings,
    config_file_layer,
    environment_layer,
    parse_duration,
    parse_size,
    read_api_key,
)


def complaint(*layers: Layer) -> str:
    with pytest.raises(SettingsError) as caught:
        build_settings(*layers)
    return caught.value.message


def written(folder: Path, content: bytes) -> Path:
    path = folder / "run.yaml"
    path.write_bytes(content)
    return path


# -- layers


def test_defaults_hold_when_nothing_is_set() -> None:
    """Without any layer a run has the documented defaults."""
    assert build_settings() == Settings()


def test_the_later_place_wins_when_several_set_a_value() -> None:
    """Defaults < config file < the manifest's `run:` < environment < flags, for each setting by itself."""
    config = Layer("run.yaml", {"concurrency": 1, "pollers": 1, "downloads": 1, "limit": 1})
    manifest = Layer("demo.yaml: run", {"concurrency": 2, "pollers": 2, "downloads": 2})
    environment = environment_layer({"PIPELINE_CONCURRENCY": "3", "PIPELINE_POLLERS": "3"})
    settings = build_settings(config, manifest, environment, Layer("flags", {"concurrency": 4}))
    assert (settings.concurrency, settings.pollers, settings.downloads, settings.limit) == (4, 3, 2, 1)


def test_a_value_is_taken_back_when_a_later_place_says_null() -> None:
    """A setting that may be absent can be switched off again; the last word counts."""
    assert build_settings(Layer("a", {"limit": 3}), Layer("b", {"limit": None})).limit is None


@pytest.mark.parametrize(
    "layer", [Layer("a", {"concurrency": "auto"}), environment_layer({"PIPELINE_CONCURRENCY": "auto"})]
)
def test_the_number_of_slots_may_be_left_open_when_a_word_is_given(layer: Layer) -> None:
    """`auto` is a value of `concurrency`, in the environment too."""
    assert build_settings(layer).concurrency == "auto"


@pytest.mark.parametrize("value", ["many", 2.5, True, 0, 100_001, "0"])
def test_the_word_is_named_when_the_number_of_slots_is_wrong(value: object) -> None:
    """The complaint says both things that would be right."""
    text = complaint(Layer("flags", {"concurrency": value}))
    assert text.startswith("flags: concurrency: must be a whole number")
    assert ", or auto; got " in text


def test_every_complaint_names_its_origin_when_several_places_are_wrong() -> None:
    """One line for each wrong value, also for a value that a later place would have overridden."""
    text = complaint(
        Layer("run.yaml", {"concurrency": 0}),
        environment_layer({"PIPELINE_POLLERS": "many"}),
        Layer("flags", {"concurrency": 5, "endpoint": "ftp://x"}),
    )
    assert text.splitlines() == [
        "run.yaml: concurrency: must be a whole number of at least 1, or auto; got 0",
        "environment: pollers: must be a whole number; got 'many'",
        f"flags: endpoint: 'ftp://x' is not a base URL; write something like {DEFAULT_ENDPOINT}",
    ]


def test_the_nearest_name_is_suggested_when_a_setting_is_unknown() -> None:
    """A misspelt setting is refused and never ignored; nothing is suggested where nothing is near."""
    assert complaint(Layer("flags", {"concurency": 3})) == (
        "flags: concurency: no such setting; did you mean concurrency?"
    )
    assert complaint(Layer("flags", {"zzz": 3})) == "flags: zzz: no such setting"
    assert complaint(Layer("run.yaml", {7: 3})) == "run.yaml: 7: no such setting"  # type: ignore[dict-item] # as YAML can say it


# -- values


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("concurrency", [1, 100_000], [0, 100_001, 2.5, True, "5", None, float("nan")]),
        ("limit", [0, None], [-1, "none"]),
        ("submit_rps", [0.001, None], [0, -1, float("nan")]),
        (
            "max_runtime",
            [0.5, "5h", None, 10_000_000],
            [0, "0s", "soon", float("inf"), float("nan"), "nan", 10_000_001],
        ),
        ("grace", [0, "0s", "1m"], [-0.1, "-1s"]),
        ("submit_timeout", [1, "1h"], [0.9, 3601]),
        ("poll_lag", [0.01, "500ms", "1m"], [0, -1, "soon"]),
        ("status_rps", [0.01, 100, None], [0, -1]),
        ("max_redirects", [0, 50], [-1, 51]),
        ("min_free_bytes", [0, "1.5GB", "2GiB"], [-1, "-1", "2 buckets", "9" * 400 + "GB"]),
        ("on_changed", ["error", "keep", "rerun"], ["other", None]),
        ("retry_failed", [True, False], ["yes", 1]),
        (
            "endpoint",
            ["http://127.0.0.1:8080", "https://a.example/base"],
            ["a.example", "https://a b", "https://k@a", 5],
        ),
    ],
)
def test_a_value_is_accepted_at_its_limit_and_refused_one_past_it(name: str, good: list[Any], bad: list[Any]) -> None:
    """Every value is checked against what the setting can be, and the complaint names place and setting."""
    for value in good:
        build_settings(Layer("here", {name: value}))
    for value in bad:
        assert complaint(Layer("here", {name: value})).startswith(f"here: {name}: ")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("2d", 172800),
        ("250ms", 0.25),
        ("1m 30s", None),
        ("", None),
        ("h", None),
        ("5 minutes", None),
        ("1h30", None),
        ("٣h", None),
    ],
)
def test_durations_are_read_when_they_carry_units(text: str, seconds: float | None) -> None:
    """Bare numbers are seconds; days to milliseconds may be combined; anything else is refused with a sentence."""
    if seconds is not None:
        assert parse_duration(text) == seconds
    else:
        with pytest.raises(ValueError, match="is not a duration; write seconds, or something like 90s"):
            parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4000", 4000),
        ("500MB", 500000000),
        ("1.5 GB", 1500000000),
        ("2GiB", 2**31),
        ("1KB", 1000),
        ("1kB", 1000),
        ("", None),
        ("GB", None),
        ("5 gb", None),
        ("1e3", None),
    ],
)
def test_sizes_are_read_when_they_carry_units(text: str, size: int | None) -> None:
    """Bare numbers are bytes; decimal and binary units are told apart; anything else is refused with a sentence."""
    if size is not None:
        assert parse_size(text) == size
    else:
        with pytest.raises(ValueError, match="is not a size; write bytes, or something like 500MB"):
            parse_size(text)


def test_each_part_gets_its_own_settings() -> None:
    """The client gets an endpoint without a slash at its end, and each part nothing but what it needs."""
    settings = build_settings(Layer("here", {"endpoint": "https://a.example/v/", "max_video_bytes": "1GB"}))
    assert settings.service.endpoint == "https://a.example/v"
    assert settings.fetch.max_bytes == 10**9


# -- the environment


def test_every_setting_can_come_from_the_environment() -> None:
    """`PIPELINE_<NAME>` sets a value, typed by the setting; empty variables and foreign ones are passed over."""
    environ = {f"PIPELINE_{name.upper()}": "" for name in NAMES}
    assert environment_layer(environ | {"PIPELINE_API_KEY": "k", "CONCURRENCY": "5"}).values == {}
    environ = {
        "PIPELINE_MAX_RUNTIME": "5h",
        "PIPELINE_RETRY_FAILED": "true",
        "PIPELINE_LIMIT": "7",
        "PIPELINE_SUBMIT_RPS": "0.5",
        "PIPELINE_SELECT": "a*",
    }
    settings = build_settings(environment_layer(environ))
    assert settings.max_runtime == 18_000.0
    assert settings.retry_failed is True
    assert settings.limit == 7
    assert settings.submit_rps == 0.5
    assert settings.select == "a*"


def test_the_vendor_s_variable_names_the_endpoint() -> None:
    """`MODELVERSE_ENDPOINT` is the endpoint, also where the general name is set as well."""
    layer = environment_layer({"MODELVERSE_ENDPOINT": "https://b.example", "PIPELINE_ENDPOINT": "https://a.example"})
    assert build_settings(layer).endpoint == "https://b.example"


# -- the config file


def test_a_config_file_is_a_mapping_of_settings(tmp_path: Path) -> None:
    """YAML with or without a BOM; an empty file sets nothing."""
    assert config_file_layer(written(tmp_path, b"\xef\xbb\xbfconcurrency: 20\n")).values == {"concurrency": 20}
    assert config_file_layer(written(tmp_path, b"# nothing\n")).values == {}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"- concurrency\n", "must be a mapping of settings"),
        (b"concurrency: '\xe4'\n", "is not UTF-8 text"),
        (b"a: 1\nb: [1\n", ":3: is not valid YAML"),
        (b"!!python/object:os.system {}\n", ":1: is not valid YAML"),
        (b"a: 1\x00\n", "is not valid YAML"),
    ],
)
def test_a_broken_config_file_is_refused_with_its_name(tmp_path: Path, content: bytes, sentence: str) -> None:
    """Whatever is wrong with the file, the complaint is a sentence that begins with the file's name."""
    path = written(tmp_path, content)
    with pytest.raises(SettingsError) as caught:
        config_file_layer(path)
    assert caught.value.message.startswith(str(path))
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"budget: 5\nconcurrency: 2\nbudget: 500\n", ":3: budget: is given twice, first in line 1; keep one"),
        (b"budget: 5\n'budget': 5\n", ":2: budget: is given twice, first in line 1; keep one"),
        (b"{budget: 5, budget: 6}\n", ":1: budget: is given twice, first in line 1; keep one"),
        (b"notify:\n  on: failure\n  'on': always\n", ":3: on: is given twice, first in line 2; keep one"),
    ],
)
def test_a_config_file_is_refused_when_a_setting_is_given_twice(tmp_path: Path, content: bytes, sentence: str) -> None:
    """A budget must not vanish behind another: both lines are named, as in a manifest."""
    path = written(tmp_path, content)
    with pytest.raises(SettingsError) as caught:
        config_file_layer(path)
    assert caught.value.message == f"{path}{sentence}"


def test_a_missing_config_file_is_refused_with_its_name(tmp_path: Path) -> None:
    """A file that was asked for and cannot be read is never passed over."""
    with pytest.raises(SettingsError, match=r"absent\.yaml: cannot be read: No such file"):
        config_file_layer(tmp_path / "absent.yaml")


# -- the key


def test_the_key_comes_from_the_file_when_one_is_named(tmp_path: Path) -> None:
    """A named file wins over the environment; whitespace around the key and a BOM do not belong to it."""
    path = tmp_path / "key"
    path.write_bytes(b"\xef\xbb\xbf  sk-file\r\n")
    assert read_api_key(path, {"MODELVERSE_API_KEY": "sk-env"}) == "sk-file"
    assert read_api_key(None, {"MODELVERSE_API_KEY": " sk-env\n"}) == "sk-env"


@pytest.mark.parametrize("environ", [{}, {"MODELVERSE_API_KEY": "  "}])
def test_a_missing_key_is_told_with_the_ways_to_give_one(environ: dict[str, str]) -> None:
    """Who has no key learns where to put it and how to try without."""
    with pytest.raises(SettingsError, match=r"set MODELVERSE_API_KEY.*--api-key-file.*--rehearse"):
        read_api_key(None, environ)


@pytest.mark.parametrize("content", [b"two words", "sk-ключ".encode(), b"sk-\x07", b"\xff\xfe\x00", b"a\nb"])
def test_a_bad_key_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    """What cannot be a key is refused by the name of its place, and never printed."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_api_key(path, {})
    assert str(path) in caught.value.message
    assert "words" not in caught.value.message
    assert "sk-" not in caught.value.message


def test_a_missing_key_file_is_refused_when_the_environment_has_a_key(tmp_path: Path) -> None:
    """A file that was asked for and is not there is an error, not a reason to take another key."""
    with pytest.raises(SettingsError, match=r"--api-key-file .*absent: cannot be read: No such file"):
        read_api_key(tmp_path / "absent", {"MODELVERSE_API_KEY": "sk-env"})


@pytest.mark.parametrize("name", OWNERS)
def test_a_manifest_is_refused_when_it_would_run_commands_or_tell_hosts(name: str) -> None:
    """What runs a command, writes a file anywhere or sends facts to a host is chosen by who runs the manifest."""
    value = {"webhook": "https://hooks.example.com"} if name == "notify" else "x"
    with pytest.raises(SettingsError, match=f"{name}: is not for a manifest.*PIPELINE_{name.upper()}"):
        build_settings(Layer("run", {name: value}, in_manifest=True))
    assert getattr(build_settings(Layer("c.yaml", {name: value})), name) is not None


def test_the_bare_word_on_is_a_name_when_a_file_tells_whom_to_notify(tmp_path: Path) -> None:
    """YAML takes it for true; nobody has to put it in quotes."""
    file = tmp_path / "settings.yaml"
    file.write_text("notify:\n  webhook: https://h.example\n  on: [failure]\n")
    told = build_settings(config_file_layer(file)).notify
    assert told is not None
    assert told.on == ("failure",)


def test_notify_is_read_when_the_environment_holds_it_as_json() -> None:
    """In the environment, `notify` is JSON; elsewhere it is a mapping; both make the same."""
    told = build_settings(Layer("environment", {"notify": '{"webhook": "https://h.example", "on": ["failure"]}'}, True))
    assert told == build_settings(Layer("c.yaml", {"notify": {"webhook": "https://h.example", "on": ["failure"]}}))
    assert told.notify is not None
    assert told.notify.on == ("failure",)


@pytest.mark.parametrize(
    ("notify", "complaint"),
    [
        ("https://h.example/secret", "must be a mapping"),
        ({"webhok": "https://h.example/secret"}, "unknown field webhok"),
        ({"webhook": "https://h.example/secret", "on": ["sometimes"]}, "sometimes"),
    ],
)
def test_no_channel_is_shown_when_notify_is_wrong(notify: object, complaint: str) -> None:
    """The address of a channel is as good as a key: a complaint does not repeat it."""
    with pytest.raises(SettingsError, match=complaint) as caught:
        build_settings(Layer("c.yaml", {"notify": notify}))
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(("variable", "meant"), [("PIPELINE_BUDGT", "BUDGET"), ("PIPELINE_CONCURENCY", "CONCURRENCY")])
def test_a_variable_is_a_mistake_when_it_is_nearly_a_setting(variable: str, meant: str) -> None:
    """A budget that is misspelt must not vanish; variables that other systems have under the prefix are left alone."""
    with pytest.raises(SettingsError, match=f"{variable}: no such setting; did you mean PIPELINE_{meant}"):
        environment_layer({variable: "1"})
    assert environment_layer({"PIPELINE_WORKSPACE": "/w", "BUDGT": "1", "pipeline_budgt": "1"}).values == {}


def test_a_key_file_says_what_is_wrong_when_it_holds_no_key(tmp_path: Path) -> None:
    """An empty file is called empty, and quotes are no part of a key."""
    empty, quoted = tmp_path / "empty", tmp_path / "quoted"
    empty.write_text("\n")
    quoted.write_text('"sk-1"\n')
    with pytest.raises(SettingsError, match=r"empty: is empty; put the API key into it"):
        read_api_key(empty, {"MODELVERSE_API_KEY": "sk-2"})
    with pytest.raises(SettingsError, match="quotes or characters that no key has"):
        read_api_key(quoted, {})


@pytest.mark.parametrize(
    "content",
    [
        "MODELVERSE_API_KEY=sk-secret\n",
        "export MODELVERSE_API_KEY='sk-secret'\n",
        "# the vendor's\nOTHER=1\nMODELVERSE_API_KEY = sk-secret\n",
    ],
)
def test_a_key_file_is_refused_when_it_gives_the_key_a_name(tmp_path: Path, content: str) -> None:
    """A file for a shell is no key file: the whole line would be sent, and refused by the service as a wrong key."""
    path = tmp_path / "env"
    path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        read_api_key(path, {})
    said = "holds a line NAME=key; put the key into it, alone, without the name before it"
    assert caught.value.message == f"{path} {said}"
    with pytest.raises(SettingsError, match=said):
        read_api_key(None, {"MODELVERSE_API_KEY": content})


@pytest.mark.parametrize("key", ["c2stKEY=", "c2stKEY==", "sk-a=b"])
def test_a_key_is_taken_when_it_only_has_an_equals_sign(key: str) -> None:
    """Base64 ends with one or two."""
    assert read_api_key(None, {"MODELVERSE_API_KEY": key}) == key

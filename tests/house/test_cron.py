"""Everything under configs/cron/ is read by the tool that it is for, and starts a command that exists."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cronsim import CronSim, CronSimError

from pipeline.settings import NAMES, Layer, Settings, build_settings
from tests.house.pages import ROOT, calls, commands, parsed, read

CRON = ROOT / "configs/cron"
SERVICE, TIMER = CRON / "pipeline-shots.service", CRON / "pipeline-shots.timer"
NO_ALARM = {3, 75}
"""Exit codes after which the next night simply goes on."""
NIGHT = 8 * 3600.0


# -- what each of them starts


def crontab_line() -> str:
    """The one line of the crontab that is neither a comment nor a variable."""
    lines = (CRON / "crontab").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if re.match(r"[\d*]", line)]
    return line


def unit(path: Path) -> configparser.ConfigParser:
    """A unit file; a key that is given twice is a mistake here."""
    made = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), delimiters=("=",))
    made.optionxform = str  # type: ignore[assignment, method-assign]
    made.read_string(path.read_text(encoding="utf-8"))
    return made


def cron_job() -> dict[str, Any]:
    """The CronJob among the documents for Kubernetes."""
    documents = list(yaml.safe_load_all((CRON / "kubernetes.yaml").read_text(encoding="utf-8")))
    (found,) = [one for one in documents if one["kind"] == "CronJob"]
    return found


def pod() -> dict[str, Any]:
    """The pod of a night."""
    return cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def container() -> dict[str, Any]:
    """The one container of the pod."""
    (found,) = pod()["containers"]
    return found


def command_of(place: str) -> list[str]:
    """Program and arguments that crontab, systemd or Kubernetes start."""
    if place == "crontab":
        return shlex.split(crontab_line())[5:]
    if place == "systemd":
        line = unit(SERVICE)["Service"]["ExecStart"]
        return shlex.split(line.replace("${CREDENTIALS_DIRECTORY}", "/run/credentials/pipeline-shots.service"))
    return [*container()["command"], *container()["args"]]


def settings_of(place: str) -> Settings:
    """The settings that its flags make."""
    given = parsed(command_of(place)[1:])
    flags = {name: value for name, value in given.items() if name in NAMES and value is not None}
    return build_settings(Layer("flags", flags))


@pytest.mark.parametrize("place", ["crontab", "systemd", "kubernetes"])
def test_a_command_is_accepted_when_a_scheduler_starts_it(place: str) -> None:
    """The real command reads it: quiet, with a deadline, the key from a file, and every path absolute."""
    program, name, *_ = command_of(place)
    given = parsed(command_of(place)[1:])
    assert name == "run"
    assert Path(program).name == "pipeline"
    paths = [Path(str(given[one])) for one in ("manifest", "output", "api_key_file")]
    assert all(path.is_absolute() for path in paths)
    assert given["quiet"]
    assert settings_of(place).max_runtime == NIGHT
    assert "MODELVERSE_API_KEY" not in " ".join(command_of(place))


# -- crontab


def test_the_line_runs_every_night_when_cron_parses_it() -> None:
    """Every 24 hours, at the full hour; a night ends before the next one begins."""
    times = CronSim(" ".join(crontab_line().split()[:5]), datetime(2026, 11, 22, 12, tzinfo=UTC))
    first, second = next(times), next(times)
    assert (first.hour, first.minute, second - first) == (22, 0, timedelta(days=1))
    assert timedelta(seconds=NIGHT) < second - first
    with pytest.raises(CronSimError):
        CronSim("0 25 * * *", first)


def test_the_line_is_the_one_of_the_pages_when_somebody_copies_it() -> None:
    """README and docs/cron.md show it to the letter; a % would end it for cron, and its program is a whole path."""
    line = crontab_line()
    assert [calls(command) for command in commands("docs/cron.md")][:1] == [[command_of("crontab")[1:]]]
    assert line in read("README.md").splitlines()
    assert line in read("docs/cron.md").splitlines()
    assert "%" not in line
    assert Path(command_of("crontab")[0]).parts[-3:] == (".venv", "bin", "pipeline")


# -- systemd


def systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str] | None:
    """What the tool says; None on a machine without it, which no automatic run may be."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        assert os.environ.get("CI") != "true", "install the package systemd"
        return None
    zone = {**os.environ, "TZ": "UTC"}  # a night on which the clocks change is not 24 hours long
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False, env=zone)


def copied(folder: Path, change: tuple[str, str] | None = None) -> list[Path]:
    """The units beside each other, with a program that exists on this machine and perhaps with a mistake."""
    made = []
    for path in (SERVICE, TIMER):
        text = path.read_text(encoding="utf-8").replace(command_of("systemd")[0], "/bin/true")
        if change is not None:
            text = text.replace(*change)
        made.append(folder / path.name)
        made[-1].write_text(text, encoding="utf-8")
    return made


def test_the_units_are_flawless_when_systemd_reads_them(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say; it also says nothing of keys that it ignores."""
    checked = systemd_analyze("verify", *copied(tmp_path))
    assert checked is None or (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    "change",
    [("LimitCORE", "LimtCORE"), ("Type=oneshot", "Type=oneshoot"), ("OnCalendar=*-*-* 22", "OnCalendar=*-*-* 25")],
)
def test_a_mistake_in_a_unit_is_found_when_there_is_one(tmp_path: Path, change: tuple[str, str]) -> None:
    """The check above can fail."""
    checked = systemd_analyze("verify", *copied(tmp_path, change))
    assert checked is None or checked.stderr


def test_the_timer_means_every_night_when_systemd_computes_it() -> None:
    """The calendar expression elapses every 24 hours at ten, and a missed night is caught up with."""
    timer = unit(TIMER)["Timer"]
    assert timer["Persistent"] == "true"
    checked = systemd_analyze("calendar", "--iterations=2", timer["OnCalendar"])
    if checked is not None:
        assert checked.returncode == 0, checked.stderr
        times = re.findall(r"(?:Next elapse|Iteration #\d|Iter\. #\d): \w+ (\S+ \S+)", checked.stdout)
        first, second = (datetime.fromisoformat(time) for time in times)
        assert (first.hour, second - first) == (22, timedelta(days=1))


def test_the_service_is_confined_when_systemd_judges_it(tmp_path: Path) -> None:
    """Its exposure is 2.0 of 10 at most: it may write its output folder, use the network, and little else."""
    service = copied(tmp_path)[0]
    judged = systemd_analyze("security", "--offline=yes", "--threshold=20", "--no-pager", service)
    assert judged is None or judged.returncode == 0, judged.stdout[-200:]
    output = Path(str(parsed(command_of("systemd")[1:])["output"]))
    writable = Path(unit(SERVICE)["Service"]["ReadWritePaths"])
    assert output.is_relative_to(writable)


def test_a_stop_leaves_time_for_the_run_s_own_when_systemd_asks_for_it() -> None:
    """SIGTERM first, a kill after more than the grace; systemd's own deadline comes after the run's."""
    service = unit(SERVICE)["Service"]
    settings = settings_of("systemd")
    assert (service["Type"], service["KillSignal"], service["KillMode"]) == ("oneshot", "SIGTERM", "mixed")
    assert seconds(service["TimeoutStopSec"]) > settings.grace + 10
    assert seconds(service["TimeoutStartSec"]) > longest(settings)


def test_the_alarm_is_spared_when_the_next_night_simply_goes_on() -> None:
    """A deadline and a held folder are no alarm; everything that wants a person is one."""
    spared = {int(code) for code in unit(SERVICE)["Service"]["SuccessExitStatus"].split()}
    assert spared == NO_ALARM


def test_the_key_is_a_credential_when_systemd_starts_the_run() -> None:
    """It is read from where systemd puts it for this run alone, and stands in no environment."""
    service = unit(SERVICE)["Service"]
    name, _, source = service["LoadCredential"].partition(":")
    assert f"--api-key-file ${{CREDENTIALS_DIRECTORY}}/{name} " in service["ExecStart"]
    assert Path(source).is_absolute()
    assert not {"Environment", "EnvironmentFile"} & set(service)


def seconds(text: str) -> float:
    """Seconds of a time span of systemd, in the few units used here."""
    found = re.fullmatch(r"(\d+)(s|min|h)", text)
    assert found, text
    return int(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]]


def longest(settings: Settings) -> float:
    """Seconds that a run may take by its own settings."""
    assert settings.max_runtime is not None
    return (settings.wait_lock or 0.0) + settings.max_runtime + settings.grace


# -- Kubernetes

TEXT = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 0}
YES, NO = {"const": True}, {"const": False}
NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$"}
"""A CronJob appends eleven characters to its name, and a label has 63."""
QUANTITY = {"type": "string", "pattern": r"^\d+(\.\d+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$"}


def shape(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


def many(item: dict[str, Any]) -> dict[str, Any]:
    """A list with something in it."""
    return {"type": "array", "items": item, "minItems": 1}


QUANTITIES = shape({"memory": QUANTITY}, cpu=QUANTITY)
MOUNT = shape({"name": NAME, "mountPath": {"type": "string", "pattern": "^/"}}, readOnly=YES)
VOLUME = shape(
    {"name": NAME},
    persistentVolumeClaim=shape({"claimName": NAME}),
    configMap=shape({"name": NAME}),
    secret=shape({"secretName": NAME}, defaultMode=COUNT),
    emptyDir=shape({"sizeLimit": QUANTITY}),
) | {"minProperties": 2, "maxProperties": 2}
CONTAINER = shape(
    {
        "name": NAME,
        "image": {"type": "string", "pattern": r"^\S+:\d[\w.-]*$"},
        "command": many(TEXT),
        "args": many(TEXT),
        "securityContext": shape(
            {
                "allowPrivilegeEscalation": NO,
                "readOnlyRootFilesystem": YES,
                "capabilities": shape({"drop": {"const": ["ALL"]}}),
            }
        ),
        "resources": shape({"requests": QUANTITIES, "limits": QUANTITIES}),
        "volumeMounts": many(MOUNT),
    }
)
POD = shape(
    {
        "restartPolicy": {"const": "Never"},
        "terminationGracePeriodSeconds": COUNT,
        "automountServiceAccountToken": NO,
        "securityContext": shape(
            {
                "runAsNonRoot": YES,
                "runAsUser": {"type": "integer", "minimum": 1},
                "runAsGroup": {"type": "integer", "minimum": 1},
                "fsGroup": {"type": "integer", "minimum": 1},
                "fsGroupChangePolicy": {"enum": ["OnRootMismatch", "Always"]},
                "seccompProfile": shape({"type": {"const": "RuntimeDefault"}}),
            }
        ),
        "containers": many(CONTAINER),
        "volumes": many(VOLUME),
    }
)
JOB = shape(
    {
        "backoffLimit": {"const": 0},
        "activeDeadlineSeconds": COUNT,
        "template": shape({"spec": POD}),
    },
    ttlSecondsAfterFinished=COUNT,
)
CRON_JOB = shape(
    {
        "apiVersion": {"const": "batch/v1"},
        "kind": {"const": "CronJob"},
        "metadata": shape({"name": NAME}),
        "spec": shape(
            {
                "schedule": TEXT,
                "timeZone": TEXT,
                "concurrencyPolicy": {"const": "Forbid"},
                "startingDeadlineSeconds": {"type": "integer", "minimum": 10},
                "jobTemplate": shape({"spec": JOB}),
            },
            successfulJobsHistoryLimit=COUNT,
            failedJobsHistoryLimit=COUNT,
        ),
    }
)
CLAIM = shape(
    {
        "apiVersion": {"const": "v1"},
        "kind": {"const": "PersistentVolumeClaim"},
        "metadata": shape({"name": NAME}),
        "spec": shape(
            {
                "accessModes": {"enum": [["ReadWriteOnce"], ["ReadWriteOncePod"]]},
                "resources": shape({"requests": shape({"storage": QUANTITY})}),
            }
        ),
    }
)
"""The fields of Kubernetes 1.27 and newer that are used here; whatever else is written is a misspelling."""


def test_every_field_exists_when_kubernetes_reads_the_file() -> None:
    """A volume claim and a CronJob, with no field that the API does not have, and every one that a night needs."""
    documents = list(yaml.safe_load_all((CRON / "kubernetes.yaml").read_text(encoding="utf-8")))
    assert [one["kind"] for one in documents] == ["PersistentVolumeClaim", "CronJob"]
    for schema, document in zip((CLAIM, CRON_JOB), documents, strict=True):
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def test_a_misspelt_field_is_found_when_there_is_one() -> None:
    """The check above can fail."""
    document = cron_job()
    document["spec"]["jobTemplate"]["spec"]["backofLimit"] = 0
    with pytest.raises(jsonschema.ValidationError, match="backofLimit"):
        jsonschema.validate(document, CRON_JOB, cls=jsonschema.Draft202012Validator)


def test_the_schedule_is_the_crontab_s_when_kubernetes_follows_it() -> None:
    """The same five fields, in a zone that is named."""
    assert cron_job()["spec"]["schedule"] == " ".join(crontab_line().split()[:5])
    CronSim(cron_job()["spec"]["schedule"], datetime(2026, 11, 22, tzinfo=UTC))


def test_the_run_ends_by_itself_when_kubernetes_would_end_it() -> None:
    """The run's deadline comes before the cluster's, and its grace before the kill."""
    settings = settings_of("kubernetes")
    assert cron_job()["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] > longest(settings)
    assert pod()["terminationGracePeriodSeconds"] > settings.grace + 10


def test_every_path_lies_on_a_volume_when_the_pod_starts() -> None:
    """Each mount has its volume and each volume its mount; only videos and scratch can be written."""
    mounts = {one["name"]: one for one in container()["volumeMounts"]}
    volumes = {one["name"]: one for one in pod()["volumes"]}
    assert mounts.keys() == volumes.keys()
    writable = {name for name, mount in mounts.items() if not mount.get("readOnly")}
    assert writable == {"videos", "tmp"}
    given = parsed(command_of("kubernetes")[1:])
    for argument, name in (("manifest", "manifest"), ("output", "videos"), ("api_key_file", "key")):
        assert Path(str(given[argument])).is_relative_to(mounts[name]["mountPath"])
    claims = [one for one in yaml.safe_load_all((CRON / "kubernetes.yaml").read_text()) if one["kind"] != "CronJob"]
    assert volumes["videos"]["persistentVolumeClaim"]["claimName"] == claims[0]["metadata"]["name"]


def test_the_key_is_a_file_for_the_run_alone_when_the_pod_starts() -> None:
    """It comes from a secret, in no environment variable, and others in the container cannot read it."""
    (secret,) = [one["secret"] for one in pod()["volumes"] if "secret" in one]
    assert secret["defaultMode"] == 0o440
    assert "env" not in container()
    text = (CRON / "kubernetes.yaml").read_text(encoding="utf-8")
    assert f"kubectl create secret generic {secret['secretName']} --from-file=key=" in text

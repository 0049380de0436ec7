"""A local nginx that serves videos out of memory, plain and over TLS, and answers questions and submits."""

import contextlib
import random
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {
    "nginx": "nginx-light",
    "curl": "curl",
    "aria2c": "aria2",
    "openssl": "openssl",
    "taskset": "util-linux",
    "gcc": "gcc",
}
"""Programs, and the Debian packages that bring them."""
MEMORY = Path("/dev/shm")
MB = 1_000_000
_PATIENCE = 10.0
_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        root {folder}/videos;
        location = /v1/tasks/status {{
            default_type application/json;
            return 200 '{{"output": {{"task_id": "t-1", "task_status": "Running"}}, "request_id": "r-1"}}';
        }}
        location = /v1/tasks/submit {{
            default_type application/json;
            return 200 '{{"output": {{"task_id": "t-1"}}, "request_id": "r-1"}}';
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Host:
    """Where the videos are: `<size in MB>/<number>.mp4`, as many of each size as anybody asks for."""

    plain: str
    tls: str
    certificate: Path


def require_programs() -> None:
    """Ends the program with a sentence for whoever is to install what is missing."""
    missing = [f"{program} (Debian package {package})" for program, package in PACKAGES.items() if not _which(program)]
    if missing:
        raise SystemExit(f"this benchmark needs {', '.join(missing)}")


@contextlib.contextmanager
def serving(sizes: dict[int, int], core: int | None) -> Iterator[Host]:
    """nginx on free ports of this machine, pinned to a core; `sizes` says how many videos of so many MB there are."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="downloads-") as name:
        folder = Path(name)
        _make_videos(folder / "videos", sizes)
        _make_certificate(folder)
        port, tls_port = _free_ports()
        configuration = folder / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, tls_port=tls_port), encoding="ascii")
        with subprocess.Popen([*pinned(core), _which("nginx"), "-p", name, "-c", str(configuration)]) as process:
            try:
                _wait_for(port, process)
                yield Host(f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}", folder / "certificate.pem")
            finally:
                process.terminate()


def pinned(core: int | None) -> list[str]:
    """The words before a command that bind it to a core."""
    return [] if core is None else [_which("taskset"), "-c", str(core)]


def _which(program: str) -> str:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin") or ""


def _make_videos(folder: Path, sizes: dict[int, int]) -> None:
    """One video of each size under many names: what is measured is the client, not the server's memory."""
    for size, count in sizes.items():
        (folder / str(size)).mkdir(parents=True)
        first = folder / str(size) / "0.mp4"
        opening = _box(b"ftyp", b"isom\x00\x00\x02\x00isomiso2") + _box(b"moov", _box(b"free"))
        first.write_bytes(opening + _box(b"mdat", random.Random(size).randbytes(size * MB - len(opening) - 8)))
        for number in range(1, count):
            first.with_name(f"{number}.mp4").hardlink_to(first)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    folder.parent.chmod(0o755)  # nginx serves as another user


def _box(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def _make_certificate(folder: Path) -> None:
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError("nginx did not begin to listen")

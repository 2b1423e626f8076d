"""A hub's certificate is replaced while it runs; a broken one is not."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from jobctl.hub import certificates as certificates_module
from jobctl.hub.certificates import ServerCertificate
from tests.hub.network import running_hub, until

TASK = "certificate reload"


def make(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate with this common name, and its key."""
    folder.mkdir(exist_ok=True)
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("pairs")
    return {name: make(folder, name) for name in ("old", "new")}


@pytest.fixture
def files(tmp_path: Path, pairs: dict[str, tuple[Path, Path]]) -> tuple[Path, Path]:
    """The files that the hub reads."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    put(files, pairs["old"])
    return files


def put(files: tuple[Path, Path], source: tuple[Path, Path]) -> None:
    for target, path in zip(files, source, strict=True):
        shutil.copy(path, f"{target}.new")
        os.replace(f"{target}.new", target)


def served_by(port: int, trusted: Path) -> bool:
    """Whether the hub shows this certificate."""
    context = ssl.create_default_context(cafile=str(trusted))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost"):
                return True
        except ssl.SSLCertVerificationError:
            return False


async def shows(port: int, trusted: Path) -> bool:
    return await asyncio.to_thread(served_by, port, trusted)


async def test_a_replaced_certificate_is_taken_by_itself(served, files, pairs, monkeypatch, caplog):
    """New connections have it. The same is so if the modification time stays."""
    caplog.set_level("INFO", "jobctl.hub")
    monkeypatch.setattr(certificates_module, "CERTIFICATE_CHECK_S", 0.02)
    async with running_hub(served, tls=ServerCertificate(*files), own_uid=-1) as hub:
        assert await shows(hub.port, pairs["old"][0])
        before = [os.stat(path) for path in files]
        put(files, pairs["new"])
        for path, was in zip(files, before, strict=True):
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        await until(lambda: [record for record in caplog.records if record.msg == TASK])
        assert await shows(hub.port, pairs["new"][0])
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_it_looks_often_enough():
    """Within a minute, with time to see that broken files stay so."""
    assert certificates_module.CERTIFICATE_CHECK_S <= 20


@pytest.mark.parametrize("broken", ["torn", "missing", "other key"])
async def test_a_broken_certificate_keeps_the_old_and_is_logged_once(
    served, files, pairs, monkeypatch, caplog, broken
):
    """And once more when it is whole."""
    monkeypatch.setattr(certificates_module, "CERTIFICATE_CHECK_S", 0.02)
    certificate = ServerCertificate(*files)
    looks = 0
    check = certificate._check

    def counted(stopping):
        nonlocal looks
        looks += 1
        return check(stopping)

    monkeypatch.setattr(certificate, "_check", counted)
    async with running_hub(served, tls=certificate, own_uid=-1) as hub:
        if broken == "torn":
            files[0].write_bytes(pairs["new"][0].read_bytes()[:100])
        elif broken == "missing":
            files[1].unlink()
        else:
            files[0].write_bytes(pairs["new"][0].read_bytes())
        seen = looks
        await until(lambda: looks > seen + 5)
        assert await shows(hub.port, pairs["old"][0])
        put(files, pairs["new"])
        seen = looks
        await until(lambda: looks > seen + 3)
        assert await shows(hub.port, pairs["new"][0])
    said = [record.getMessage() for record in caplog.records if record.levelno >= 30]
    assert len(said) == 2, said
    assert said[0].startswith(f"certificate reload failed: no certificate and key in {files[0]}")
    assert said[1] == "certificate reload works again"


def test_a_moment_between_two_files_is_no_error(files, pairs):
    """The key comes a moment after the certificate; who asks for a look is told at once."""
    certificate = ServerCertificate(*files)
    call = certificate.task().call
    stopping = None
    files[0].write_bytes(pairs["new"][0].read_bytes())
    assert not call(stopping).errors
    put(files, pairs["new"])
    assert call(stopping).fields == {"file": str(files[0])}
    assert not call(stopping).fields
    files[0].write_bytes(b"")
    certificate.reload_soon()
    assert call(stopping).errors


@pytest.mark.slow
def test_a_hub_takes_it_on_sighup(tmp_path, files, pairs):
    """At once; it goes on when the certificate is broken, and the log is JSON throughout."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("JOBCTL")}
    with subprocess.Popen(
        [sys.executable, "-m", "jobctl", "serve", "--dir", str(tmp_path / "jobs"), "--port", "0",
         "--tls-cert", str(files[0]), "--tls-key", str(files[1])],
        stderr=subprocess.PIPE, text=True, env=own, start_new_session=True,
    ) as hub:  # fmt: skip
        assert hub.stderr is not None
        line = ""
        while "serving" not in line:
            line = hub.stderr.readline()
        port = int(line.split("wss://127.0.0.1:")[1].split("/")[0])
        assert served_by(port, pairs["old"][0])
        files[0].write_bytes(b"torn")
        hub.send_signal(signal.SIGHUP)
        assert "certificate reload failed" in hub.stderr.readline()
        assert served_by(port, pairs["old"][0])
        put(files, pairs["new"])
        hub.send_signal(signal.SIGHUP)
        assert "certificate reload works again" in hub.stderr.readline()
        assert served_by(port, pairs["new"][0])
        hub.terminate()
        assert hub.wait(20) == 0

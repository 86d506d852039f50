"""The server itself: what it refuses, its command, and that no client can hold it up."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.server.__main__ import main
from tests.monitoring.runs import eventually
from tests.server.serving import ask, text

if TYPE_CHECKING:
    from runner.server.http import StatusServer


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics/", "/metric", "/Metrics", "/favicon.ico", "/../runner.prom", "/health/../x"),
        *(
            "/runner.prom",
            "/etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/metrics%00",
            "//etc/passwd",
        ),
    ],
)
def test_there_is_nothing_else(server: StatusServer, path: str) -> None:
    status, _, body = ask(server, path)
    assert status == 404
    assert body == b"not found; there are /, /metrics, /health and /status.json\n", (
        "nothing is echoed"
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_nothing_can_be_changed(server: StatusServer, textfile: Path, method: str) -> None:
    status, headers, _ = ask(server, "/metrics", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert textfile.read_bytes() == text()


@pytest.mark.parametrize("path", ["/", "/metrics", "/health", "/status.json", "/nothing"])
def test_head_is_get_without_the_body(server: StatusServer, path: str) -> None:
    status, headers, body = ask(server, path, "HEAD")
    full = ask(server, path)
    assert (status, headers["Content-Length"]) == (full[0], str(len(full[2])))
    assert body == b""


def test_the_server_says_little_of_itself(server: StatusServer) -> None:
    assert ask(server, "/")[1]["Server"] == "zk-batch-runner"


# -- clients that are slow, many or broken ----------------------------------------------------


def connect(server: StatusServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=10)


def drip(client: socket.socket) -> None:
    for _ in range(100):  # each byte comes well within the time limit of one read
        client.sendall(b"a")
        time.sleep(0.05)


def test_silent_and_dripping_clients_are_cut_off(impatient: StatusServer) -> None:
    silent, dripping = connect(impatient), connect(impatient)
    begin = time.monotonic()
    with silent, dripping:
        dripping.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert ask(impatient, "/metrics")[0] == 200, "others do not wait for them"
        assert time.monotonic() - begin < 0.4
        with pytest.raises(OSError):  # noqa: PT011  # reset or broken pipe
            drip(dripping)
        assert silent.recv(1) == b""
        assert time.monotonic() - begin < 3


def test_too_many_clients_cost_no_threads(impatient: StatusServer) -> None:
    before = threading.active_count()
    clients = [connect(impatient) for _ in range(40)]
    try:
        assert clients[-1].recv(1) == b"", "turned away at once"
        assert threading.active_count() <= before + 3
    finally:
        for client in clients:
            client.close()
    eventually(lambda: not impatient._clients)
    assert ask(impatient, "/health")[0] == 200


def test_clients_that_go_away_or_talk_nonsense(
    impatient: StatusServer, capfd: pytest.CaptureFixture[str]
) -> None:
    for nonsense in (
        b"\0\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"A" * 70000,
        b"",
    ):
        with connect(impatient) as client:
            client.sendall(nonsense)
    with connect(impatient) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    eventually(lambda: not impatient._clients)
    assert ask(impatient, "/metrics")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


# -- the command line -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "65536"], "--port = '65536': not a port"),
        (["--port", "-1"], "not a port"),
        (["--port", "http"], "not a port"),
        (["--host", "192.0.2.1"], "Cannot assign requested address"),
        (["--host", "no such host"], "--host"),
        (["--stale-after", "0"], "--stale-after = '0': not a time"),
        (["--stale-after", "nan"], "not a time"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["--textfile", "x.prom", "--port", "0", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_a_port_in_use_is_one_line(server: StatusServer, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--textfile", "x.prom", "--port", str(server.server_port)]) == 2
    assert "Address already in use" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(textfile: Path, number: int) -> None:
    command = [sys.executable, "-m", "runner.server", "--textfile", str(textfile), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        port = int(line.rstrip("/\n").rpartition(":")[2])
        listening = Path(f"/proc/{process.pid}/net/tcp").read_text()
        assert f" 0100007F:{port:04X} 00000000:0000 0A" in listening, "on loopback only"
        with closing(http.client.HTTPConnection("127.0.0.1", port, 10)) as client:
            client.request("GET", "/health")
            assert client.getresponse().status == 200
        # A silent client does not hold up the end.
        with socket.create_connection(("127.0.0.1", port)):
            os.kill(process.pid, number)
            assert process.wait(timeout=5) == 0
        assert process.stderr.read() == ""

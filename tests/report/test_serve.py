"""`ganforge report --serve` over a real socket: the page, kept up to date, and nothing else of the machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganforge.errors import GanforgeError
from ganforge.recipe import dump, resolve
from ganforge.report import serve
from ganforge.report.serve import ReportServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run in the middle of its training."""
    tables = {"data": "ring", "generator": "mlp", "discriminator": "mlp", "training": {"steps": 40}}
    recipe = resolve({"name": "ring", "output": str(tmp_path / "runs"), **tables})
    recipe.folder.mkdir(parents=True)
    (recipe.folder / "recipe.resolved.toml").write_text(dump(recipe))
    (recipe.folder / "metrics.jsonl").write_text('{"step": 10, "images": 10, "generator/loss": 0.5}\n')
    return recipe.folder


def finish(folder: Path) -> None:
    checkpoint = folder / "checkpoints" / "step-00000040"
    checkpoint.mkdir(parents=True)
    (checkpoint / "checkpoint.json").write_text(json.dumps({"step": 40}))


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReportServer]:
    monkeypatch.setattr(serve, "REFRESH_SECONDS", 1)
    with ReportServer([folder]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def answer(server: ReportServer, path: str = "/", method: str = "GET", host: str | None = None) -> tuple[int, str]:
    """Status and the rest of what the socket says, headers and all."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
        host = f"127.0.0.1:{server.server_port}" if host is None else host
        connection.sendall(f"{method} {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        said = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
    return int(said.split()[1]), said


def test_the_page_looks_again_while_the_run_goes_on_and_no_longer_when_it_has_ended(
    server: ReportServer, folder: Path
) -> None:
    status, page = answer(server)
    assert status == 200
    assert 'data-refresh="1"' in page
    assert "10 of 40" in page
    assert "Cache-Control: no-store" in page
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "images": 40, "generator/loss": 0.5}\n')
    finish(folder)
    time.sleep(1.1)
    page = answer(server)[1]
    assert 'data-refresh="0"' in page
    assert "40 of 40" in page


@pytest.mark.parametrize(
    "path",
    [
        "/metrics.jsonl", "/recipe.resolved.toml", "/../metrics.jsonl", "/runs/ring/metrics.jsonl", "//etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "/favicon.ico", "http://127.0.0.1/", "/.", "/index.html",
    ],
)  # fmt: skip
def test_no_other_file_is_served(server: ReportServer, path: str) -> None:
    status, said = answer(server, path)
    assert (status, "generator/loss" in said, "root:" in said) == (404, False, False)


def test_only_this_machine_is_answered_under_its_own_name(server: ReportServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert answer(server, host=f"localhost:{server.server_port}")[0] == 200
    for host in ("", "example.org", f"example.org:{server.server_port}", "127.0.0.1"):
        assert answer(server, host=host)[0] == 403
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", server.server_port), timeout=5)
    assert answer(server, method="POST")[0] == 501
    status, said = answer(server, method="HEAD")
    assert (status, "<html" in said) == (200, False)


def test_a_folder_that_is_gone_is_told_and_the_server_stays(server: ReportServer, folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    time.sleep(1.1)
    status, said = answer(server)
    assert (status, "is not a run folder" in said) == (500, True)
    folder.with_name("moved").rename(folder)
    assert answer(server)[0] == 200


def test_a_port_that_is_taken_and_a_folder_that_is_none_are_told(server: ReportServer, folder: Path) -> None:
    with pytest.raises(
        GanforgeError, match=r"127.0.0.1:\d+: Address already in use; choose another with `port=\.\.\.`"
    ):
        ReportServer([folder], server.server_port)
    with pytest.raises(GanforgeError, match="is not a run folder"):
        ReportServer([folder.parent])


def test_the_command_serves_until_ctrl_c(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ganforge", "report", str(folder), "--serve", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "to this machine only; Ctrl-C ends it" in line
    assert b"10 of 40" in urllib.request.urlopen(line.split()[0], timeout=20).read()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0, process.communicate()[1]
    assert not (folder.parent / "report.html").exists()


def test_the_page_loads_itself_anew_in_a_browser(browser, server: ReportServer, folder: Path) -> None:
    page = browser.new_page()
    page.set_default_timeout(30_000)
    page.goto(server.url)
    assert "10 of 40" in page.inner_text("body")
    assert "looks again every 1 seconds" in page.inner_text("body")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "images": 40, "generator/loss": 0.5}\n')
    finish(folder)
    page.wait_for_selector("text=40 of 40")
    assert page.get_attribute("body", "data-refresh") == "0"
    page.close()

"""The page on loopback: made anew while a run goes on, and nothing else of this machine."""

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ganforge.arguments import argument
from ganforge.cluster.status import statuses
from ganforge.errors import GanforgeError
from ganforge.report.facts import names_of, read_run
from ganforge.report.live import ENDED
from ganforge.report.page import render

HOST = "127.0.0.1"
REFRESH_SECONDS = 10
"""From one page to the next while a run goes on; several readers get the same page meanwhile."""


class ReportServer(ThreadingHTTPServer):
    """Serves the page about runs at `/`, to this machine only.

    Args:
        folders: run folders.
        port: of loopback; 0 for any that is free.
        most_pictures: sample grids a run.

    Raises:
        GanforgeError: the port is taken, or a folder is no run folder.
    """

    daemon_threads = True

    def __init__(self, folders: list[Path], port: int = 0, *, most_pictures: int = 40) -> None:
        self._folders, self._most_pictures = list(dict.fromkeys(folders)), most_pictures
        self._lock = threading.Lock()
        self._made = -float("inf")
        self._page = b""
        self.page()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise GanforgeError(f"{HOST}:{port}: {reason}; choose another with {argument('port')}") from error

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def page(self) -> bytes:
        """The page, at most `REFRESH_SECONDS` old while a run goes on.

        Raises:
            GanforgeError: a folder is no run folder any more.
        """
        with self._lock:
            if time.monotonic() - self._made >= REFRESH_SECONDS:
                goes_on = any(run.state not in ENDED for run in statuses(self._folders))
                names = names_of(self._folders)
                runs = [read_run(folder, name) for folder, name in zip(self._folders, names, strict=True)]
                text = render(runs, self._most_pictures, REFRESH_SECONDS if goes_on else 0)
                self._page, self._made = text.encode(), time.monotonic()
            return self._page


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of `/`; every other path is 404."""

    server_version, sys_version = "ganforge", ""
    timeout = 30

    @property
    def _reports(self) -> ReportServer:
        assert isinstance(self.server, ReportServer)
        return self.server

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def _answer(self, has_body: bool) -> None:
        status, kind, body = self._found()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        if has_body:
            self.wfile.write(body)

    def _found(self) -> tuple[HTTPStatus, str, bytes]:
        if self.headers.get("Host", "") not in self._own_names():  # a page elsewhere whose name leads to loopback
            return HTTPStatus.FORBIDDEN, "text/plain", f"open {self._reports.url}\n".encode()
        if self.path.partition("?")[0] != "/":
            return HTTPStatus.NOT_FOUND, "text/plain", b"there is only the page at /\n"
        try:
            return HTTPStatus.OK, "text/html", self._reports.page()
        except GanforgeError as error:
            return HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", f"{error}\n".encode("utf-8", "replace")

    def _own_names(self) -> tuple[str, ...]:
        return tuple(f"{name}:{self._reports.server_port}" for name in (HOST, "localhost"))

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not told."""


def serve(folders: list[Path], port: int, *, most_pictures: int, say: Callable[[str], object]) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        GanforgeError: the port is taken, or a folder is no run folder.
    """
    with ReportServer(folders, port, most_pictures=most_pictures) as server:
        say(f"{server.url} shows the report, to this machine only; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return

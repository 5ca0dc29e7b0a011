"""A real HTTP server on loopback that misbehaves as told."""

import threading
import time
from collections import defaultdict, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FaultyServer(ThreadingHTTPServer):
    """Serves a folder. `faults[name]` is a row of what happens to the next requests of that name:
    `503`, `hang` (headers never come), `stall` (half of the body, then silence), `cut` (half, then the
    connection closes), `wrong` (other bytes of the same length), `slow` (trickles), `drip` (a byte now and then,
    without end), `endless` (a terabyte is announced and sent), `longer` (more than the file, and says
    so), `loop` (redirects to itself); then all is well. `sent` counts the bytes of endless bodies.
    A name in `always` misbehaves every time.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.faults: dict[str, deque[str]] = defaultdict(deque)
        self.always: dict[str, str] = {}
        self.requests: list[str] = []
        self.sent = 0
        self.lock = threading.Lock()
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        with self.server.lock:
            self.server.requests.append(name)
            fault = self.server.always.get(name) or (
                self.server.faults[name].popleft() if self.server.faults[name] else ""
            )
        if fault == "503":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault == "hang":
            self.server.released.wait(120)
            self.close_connection = True
            return
        if fault == "loop":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault in ("endless", "drip"):
            self._send_without_end(b"0" if fault == "drip" else bytes(2**16), 0.1 if fault == "drip" else 0)
            return
        path = self.server.folder / name
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        if fault == "longer":
            data += bytes(1000)
        if fault == "wrong":
            data = data[: len(data) // 2] + bytes(len(data) - len(data) // 2 - 1) + b"!"
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            if fault in ("cut", "stall"):
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                if fault == "stall":
                    self.server.released.wait(120)
                self.close_connection = True
            elif fault == "slow":
                step = max(1, len(data) // 20)
                for start in range(0, len(data), step):
                    self.wfile.write(data[start : start + step])
                    time.sleep(0.1)
            else:
                self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def _send_without_end(self, piece: bytes, pause: float) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(10**12))
        self.end_headers()
        self.close_connection = True
        try:
            while not self.server.released.wait(pause):
                self.wfile.write(piece)
                self.server.sent += len(piece)
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:
        pass

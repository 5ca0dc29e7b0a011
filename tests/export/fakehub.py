"""As much of the Hugging Face Hub as one client needs: make a repository, commit files, fetch them again.

The client is the real huggingface_hub; only the server is ours. It knows no large-file storage: it asks for every file
inside the commit itself.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c0ffee" + 34 * "0"
TOKEN = "hf_token_of_the_test"


class FakeHub(ThreadingHTTPServer):
    """Repositories by name, each a table of files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def log_message(self, *arguments) -> None:
        pass

    def do_HEAD(self) -> None:
        self._file(with_body=False)

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/"):
            name = "/".join(self.path.split("/")[3:5]).split("?")[0]
            found = name in self.server.repositories
            self._json(
                {"id": name, "sha": COMMIT, "siblings": []} if found else {"error": "none"}, 200 if found else 404
            )
        else:
            self._file(with_body=True)

    def _file(self, *, with_body: bool) -> None:
        owner, name, resolve, _, file = self.path.split("?")[0].strip("/").split("/", 4)
        assert resolve == "resolve"
        files = self.server.repositories.get(f"{owner}/{name}")
        if files is None or file not in files:
            code = "RepoNotFound" if files is None else "EntryNotFound"
            self._answer(404, b"", {"X-Error-Code": code, "X-Repo-Commit": COMMIT, "X-Error-Message": f"no {file}"})
            return
        body = files[file]
        headers = {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self._answer(200, body, headers, with_body=with_body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "/repos/" in self.path and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "Invalid credentials"}, 401)
        elif self.path == "/api/repos/create":
            table = json.loads(body)
            name = f"{table.get('organization', 'somebody')}/{table['name']}"
            self.server.repositories.setdefault(name, {})
            self._json({"url": f"{self.server.endpoint}/{name}", "id": name})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            kept = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self._json({"files": kept})
        elif "/commit/" in self.path:
            name = "/".join(self.path.split("/")[3:5])
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    content = base64.b64decode(entry["value"]["content"])
                    self.server.repositories[name][entry["value"]["path"]] = content
            address = f"{self.server.endpoint}/{name}/commit/{COMMIT}"
            self._json({"success": True, "commitOid": COMMIT, "commitUrl": address})
        else:
            self._json({"error": f"unknown: {self.path}"}, 404)

    def _json(self, table: dict, status: int = 200) -> None:
        self._answer(status, json.dumps(table).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str], *, with_body: bool = True) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body and self.command != "HEAD":
            self.wfile.write(body)

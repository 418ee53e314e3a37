"""Answers of a hub that the suite has to understand, from a small server of the tests' own."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

STUDY = """
[models.mine]
source = "some/model"
revision = "v9"
kind = "base"
levels = [0, 40]
suites = ["paper"]
"""


class Hub(BaseHTTPRequestHandler):
    """Has some/model with a branch `main` only, as the real hub says it."""

    def do_GET(self):
        is_main = self.path.rstrip("/").endswith(("/revision/main", "/models/some/model"))
        body = json.dumps(
            {"id": "some/model", "sha": "0" * 40} if is_main else {"error": "Invalid rev id: v9"}
        ).encode()
        self.send_response(200 if is_main else 404)
        if not is_main:
            self.send_header("X-Error-Code", "RevisionNotFound")
            self.send_header("X-Error-Message", "Invalid rev id: v9")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture
def small_hub(monkeypatch, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield
    server.shutdown()
    server.server_close()


def test_an_unknown_revision_fails_once_and_its_cases_stay_pending(suite, small_hub):
    (suite.path / "study.toml").write_text(STUDY)
    result = suite.runpytest_subprocess("--study=study.toml", "-k", "mine and (piqa or boolq)")
    result.assert_outcomes(errors=1, skipped=3, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(
        ["model mine (some/model) has no revision 'v9'; choose an existing branch, tag or commit", "blocked: 4 cases *"]
    )
    left = json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text())
    assert len(left) == 4

"""A Label Studio of our own on loopback: the part of its REST API that the bridge uses.

Its answers have the shapes that Label Studio 1.23.2 gave to the same requests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CONFIG = (
    '<View><Header value="Which?"/><Table name="row" value="$features"/>'
    '<Choices name="kind" toName="row" choice="single">'
    '<Choice value="cat"/><Choice value="Good" alias="dog"/></Choices></View>'
)
TOKEN = "0123456789abcdef0123456789abcdef01234567"
ACCESS = "access-{}"


class StudioServer:
    """A project with its tasks; what people do in the browser is a method here."""

    def __init__(self, config: str = CONFIG, token: str = TOKEN) -> None:
        self.config, self.token, self.overlap = config, token, 1
        self.tasks: dict[int, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.before: Callable[[str, str], tuple[int, dict[str, str]] | None] = lambda method, path: None
        """May answer a request itself, with a status and headers."""
        self.after: Callable[[str, str], bool] = lambda method, path: True
        """May keep the answer to a request that was done from getting back."""
        self.refreshed = 0
        self._annotations = self._minute = 0
        self._lock = threading.RLock()
        studio = self

        class Handler(_Handler):
            server_studio = studio

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # ── what people do ───────────────────────────────────────────────────────────────────────────

    def _now(self) -> str:
        self._minute += 1
        return f"2026-11-25T{self._minute // 60:02d}:{self._minute % 60:02d}:00.435080Z"

    def task_of(self, event_id: str) -> dict[str, Any]:
        return next(task for task in self.tasks.values() if task["data"].get("query_id") == event_id)

    def annotate(self, event_id: str, *choices: str, by: int = 1, skip: bool = False) -> int:
        """Submit an annotation, or skip a task."""
        self._annotations += 1
        now = self._now()
        self.task_of(event_id)["annotations"].append(
            {
                "id": self._annotations, "result": _result(choices), "created_username": f" u{by}@example.org, {by}",
                "created_ago": "0\u00a0minutes", "completed_by": by, "was_cancelled": skip, "ground_truth": False,
                "created_at": now, "updated_at": now, "draft_created_at": None, "lead_time": None, "import_id": None,
                "last_action": None, "bulk_created": False, "task": self.task_of(event_id)["id"], "project": 1,
                "updated_by": by, "parent_prediction": None, "parent_annotation": None, "last_created_by": None,
            }
        )  # fmt: skip
        return self._annotations

    def _annotation(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        return next((t, a) for t in self.tasks.values() for a in t["annotations"] if a["id"] == number)

    def edit(self, number: int, *choices: str) -> None:
        _, annotation = self._annotation(number)
        annotation.update(result=_result(choices), updated_at=self._now())

    def delete_annotation(self, number: int) -> None:
        task, annotation = self._annotation(number)
        task["annotations"].remove(annotation)

    def query_ids(self) -> list[str]:
        return [task["data"]["query_id"] for task in self.tasks.values()]

    # ── the API ──────────────────────────────────────────────────────────────────────────────────

    def add(self, item: dict[str, Any]) -> int:
        # A freed number may be given again when it was the greatest, as on SQLite.
        number, now = max(self.tasks, default=0) + 1, self._now()
        predictions = [{"id": n, "task": number, **p} for n, p in enumerate(item.get("predictions", []))]
        self.tasks[number] = {
            "id": number, "predictions": predictions, "annotations": [], "drafts": [], "annotators": [],
            "inner_id": number, "file_upload": None, "draft_exists": False, "updated_by": [], "data": item["data"],
            "meta": item.get("meta", {}), "created_at": now, "updated_at": now, "is_labeled": False, "overlap": 1,
            "project": 1,
        }  # fmt: skip
        return number

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "projects"] and parts[2] == "1":
            if parts[3:] == ["import"] and method == "POST":
                if missing := [n for n, item in enumerate(body) if "features" not in item["data"]]:
                    said = f'Error at item {missing[0]}: "features" key is expected in task data'
                    return 400, _error(
                        400, "Validation error", validation_errors={"non_field_errors": [said]}
                    )
                numbers = [self.add(item) for item in body]
                predicted = sum(len(item.get("predictions", [])) for item in body)
                return 201, {
                    "task_count": len(numbers), "annotation_count": 0, "prediction_count": predicted, "duration": 0.08,
                    "file_upload_ids": [], "could_be_tasks_list": False, "found_formats": [], "data_columns": [],
                    "task_ids": numbers,
                }  # fmt: skip
            if len(parts) == 3 and method == "GET":
                return 200, {
                    "id": 1,
                    "title": "p",
                    "label_config": self.config,
                    "maximum_annotations": self.overlap,
                }
        if parts == ["api", "tasks"] and query.get("project") == "1":
            return self._list(query)
        if parts[:2] == ["api", "tasks"] and len(parts) == 3 and int(parts[2]) in self.tasks:
            if method == "DELETE":
                del self.tasks[int(parts[2])]
                return 204, None
            return 200, self.tasks[int(parts[2])]
        what = "Project" if parts[1] == "projects" or parts == ["api", "tasks"] else "Task"
        return 404, _error(404, f"No {what} matches the given query.")

    def _list(self, query: dict[str, str]) -> tuple[int, Any]:
        asked = json.loads(query.get("query", "{}"))
        (item,) = asked["filters"]["items"]
        assert (item["filter"], item["operator"], item["type"]) == ("filter:tasks:id", "greater", "Number")
        assert asked["ordering"] == ["tasks:id"]
        assert query["fields"] == "all"
        found = [task for number, task in sorted(self.tasks.items()) if number > item["value"]]
        size, page = int(query.get("page_size", 100)), int(query.get("page", 1))
        there = found[(page - 1) * size : page * size]
        if not there and page > 1:
            return 404, _error(404, "Invalid page.")
        annotations = sum(not a["was_cancelled"] for task in found for a in task["annotations"])
        return 200, {
            "total_annotations": annotations,
            "total_predictions": sum(len(task["predictions"]) for task in found),
            "total": len(found),
            "tasks": there,
        }


class _Handler(BaseHTTPRequestHandler):
    server_studio: StudioServer
    protocol_version = "HTTP/1.1"

    def _do(self) -> None:
        studio, split = self.server_studio, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        with studio._lock:
            studio.calls.append((self.command, split.path))
            refused = studio.before(self.command, split.path)
            if refused is not None:
                self._send(refused[0], _error(refused[0], "not now"), refused[1])
                return
            if split.path == "/api/token/refresh/":
                if json.loads(body).get("refresh") != studio.token:
                    self._send(401, _error(401, "Token is invalid"))
                    return
                studio.refreshed += 1
                self._send(200, {"access": ACCESS.format(studio.refreshed)})
                return
            personal = studio.token.count(".") == 2
            wanted = f"Bearer {ACCESS.format(studio.refreshed)}" if personal else f"Token {studio.token}"
            if self.headers.get("Authorization") != wanted:
                self._send(401, _error(401, "Invalid token."))
                return
            status, content = studio.answer(
                self.command, split.path, query, json.loads(body) if body else None
            )
            if studio.after(self.command, split.path):
                self._send(status, content)
            else:
                self.close_connection = True

    do_GET = do_POST = do_DELETE = _do  # noqa: N815

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        said = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        pass


def _result(choices: tuple[str, ...]) -> list[dict[str, Any]]:
    if not choices:
        return []
    return [{"from_name": "kind", "to_name": "row", "type": "choices", "value": {"choices": list(choices)}}]


def _error(status: int, detail: str, **more: Any) -> dict[str, Any]:
    error = {"id": "935195cc", "status_code": status, "version": "1.23.2", "detail": detail, "exc_info": None}
    return {**error, **more}

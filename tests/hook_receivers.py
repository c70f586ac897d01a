"""A server that receives webhooks, and checks their signatures with code of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Delivery(NamedTuple):
    id: str
    type: str
    data: dict[str, Any]
    body: bytes
    headers: dict[str, str]


class Receiver:
    """What came, in order. ``answer`` decides what is said to each: a status, or (status, headers)."""

    def __init__(self) -> None:
        self.got: list[Delivery] = []
        self.answer: Callable[[Delivery], Any] = lambda delivery: 204
        self.url = ""

    @property
    def ids(self) -> list[str]:
        return [delivery.id for delivery in self.got]


def signed_by(delivery: Delivery, secret: str = SECRET) -> bool:
    """Verify as the standard tells a receiver to, from the bytes and the headers alone."""
    headers = delivery.headers
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        return False
    content = b".".join(
        [headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), delivery.body]
    )
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(mac).decode() in headers["webhook-signature"].split(" ")


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told = json.loads(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            delivery = Delivery(headers["webhook-id"], told["type"], told["data"], body, headers)
            receiver.got.append(delivery)
            answer = receiver.answer(delivery)
            status, more = answer if isinstance(answer, tuple) else (answer, {})
            try:
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()
            except OSError:
                pass  # who sent it has gone

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hooks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

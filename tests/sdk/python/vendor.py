"""A scripted vendor: answers each call with the next line of its script and remembers what it was sent.

A call without a line, and a line without a call, fail the test (`Vendor.close`); unless it was told what to answer when
its script is at its end."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> dict:
        return json.loads(self.body)


@dataclass
class Answer:
    """One line of a script."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    pieces: list[bytes | threading.Event] | None = None  # a chunked body instead of `body`; an event is waited for
    then: str = "end"  # after the pieces: "end", "cut" the connection, or "hold" it until the caller leaves
    silent: bool = False  # no answer at all: hold until the caller leaves


def completion(content: str = "Hello.", **more) -> Answer:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "vendor-model"}
    return answer({**body, "choices": [choice], "usage": usage, **more})


def answer(body: dict, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/json", **named})


def failure(status: int, message: str = "no", *, type: str = "server_error", code=None, param=None, **headers) -> Answer:
    error = {"message": message, "type": type, "param": param, "code": code}
    return answer({"error": error}, status, **headers)


def chunk(delta: dict | None = None, finish: str | None = None, **more) -> bytes:
    """One event of a chat stream; without a delta, one with no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "vendor-model"}
    return event({**head, "choices": choices, **more})


def event(data: dict) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def stream(*pieces: bytes | threading.Event, then: str = "end") -> Answer:
    return Answer(headers={"content-type": "text/event-stream"}, pieces=list(pieces), then=then)


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
USAGE = chunk(usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7})
DONE = b"data: [DONE]\n\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Vendor:
    """Listens on a port of the system's choice. Listing models is not part of the script: the gateway may at any time."""

    def __init__(self):
        self.received: list[Received] = []
        self.asked = threading.Event()
        self.caller_left = threading.Event()
        self.otherwise: Callable[[Received], Answer] | None = None  # answers calls without a line
        self._script: list[Answer] = []
        self._surprises: list[str] = []
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def will(self, *answers: Answer) -> None:
        self._script.extend(answers)

    @property
    def last(self) -> Received:
        return self.received[-1]

    def _next(self, request: Received) -> Answer:
        with self._lock:
            if request.method == "GET" and request.path == "/v1/models":
                return answer({"object": "list", "data": []})
            self.received.append(request)
            self.asked.set()
            if self._script:
                return self._script.pop(0)
            if self.otherwise:
                return self.otherwise(request)
            self._surprises.append(f"{request.method} {request.path}")
            return failure(500, "the script has no line for this call")

    def close(self) -> None:
        """Goes away, as a killed process would: no port, and no connection that was kept open."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side was faster
                pass
        assert not self._surprises, f"calls without a line in the script: {self._surprises}"
        assert not self._script, f"{len(self._script)} lines of the script were never asked for"


def _handler(vendor: Vendor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "vendor-private", ""
        disable_nagle_algorithm = True

        def setup(self):
            super().setup()
            vendor._connections.append(self.connection)

        def log_message(self, *_):
            pass

        def answer(self):
            request = Received(self.command, self.path, self.headers.items(), self._read_body())
            line = vendor._next(request)
            try:
                self._write(line)
            except (BrokenPipeError, ConnectionResetError):
                self._leave()

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = answer

        def _read_body(self) -> bytes:
            if self.headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _write(self, line: Answer) -> None:
            if line.silent:
                return self._hold()
            self.send_response(line.status)
            for name, value in line.headers.items():
                self.send_header(name, value)
            if line.pieces is None:
                self.send_header("content-length", str(len(line.body)))
                self.end_headers()
                self.wfile.write(line.body)
                return
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in line.pieces:
                if isinstance(piece, threading.Event):
                    piece.wait()
                else:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if line.then == "end":
                self.wfile.write(b"0\r\n\r\n")
            elif line.then == "cut":
                self.close_connection = True
            else:
                self._hold()

        def _hold(self) -> None:
            """Waits for the caller to leave: nothing more is due from it, so a read ends only then."""
            try:
                self.rfile.read(1)
            except OSError:
                pass
            self._leave()

        def _leave(self) -> None:
            self.close_connection = True
            vendor.caller_left.set()

    return Handler

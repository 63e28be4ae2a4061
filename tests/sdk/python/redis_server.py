"""A real `redis-server`: a process of its test, on a port of its own. What it acknowledged outlives its end by `kill -9`."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

# Ports that others took between the choice and the start are chosen again, so often.
STARTS_MAX = 20


class RedisServer:
    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir()
        for _ in range(STARTS_MAX):
            self.port = _free_port()
            if self._start():
                break
        else:
            raise AssertionError(f"redis-server did not start:\n{self._said}")
        self.url = f"redis://127.0.0.1:{self.port}"

    def _start(self) -> bool:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._folder, "save": ""}
        lasting = {"appendonly": "yes", "appendfsync": "no"}  # written before the answer; only a machine may fail
        words = [str(word) for name, value in {**options, **lasting}.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            ["redis-server", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        try:
            is_ready = self._read_until_ready()
        except BaseException:  # a test that is stopped here leaves no process behind either
            self.kill()
            raise
        if is_ready:
            # Keeps the pipe empty: a full one would block it.
            threading.Thread(target=self._process.stdout.read, daemon=True).start()
        else:
            self.kill()
        return is_ready

    def _read_until_ready(self) -> bool:
        self._said = ""
        for line in self._process.stdout:
            self._said += line
            if "Ready to accept connections" in line:
                return True
        return False

    def kill(self) -> None:
        """`kill -9`."""
        self._process.kill()
        self._process.wait()

    def start_again(self) -> None:
        """Where it was before, with what it had stored."""
        assert self._start(), f"its port is no longer free:\n{self._said}"


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]

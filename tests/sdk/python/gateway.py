"""Runs the gateway binary for a test: its own directory, its own ports, a clean environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

CLIENT_KEY = "client-key-of-shop"
STOP_SECONDS_MAX = 20

# Ports are chosen by the system, stopping is quick, and no probe interferes with a vendor's script.
BASE = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
discover: false
clients:
  shop: { key: "${SHOP_KEY}" }
probe: { interval_ms: 0 }
shutdown: { drain_delay_ms: 0, grace_ms: 2000 }
log: { format: json, level: info }
sim: { first_token_ms: 1, tokens_per_s: 2000, tokens: 12 }
"""


class Gateway:
    """One running gateway. `secrets` are values that must never show up in what it prints."""

    def __init__(self, folder: Path, config: str, environment: dict[str, str] | None = None):
        self.secrets = [CLIENT_KEY, *(environment or {}).values()]
        (folder / "gateway.yaml").write_text(BASE + config)
        self._stderr_path = folder / "stderr"
        with self._stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen(
                [os.environ["TOLLGATE_BIN"], "serve", "--config", "gateway.yaml"],
                cwd=folder,  # away from any .env of the developer
                env={"SHOP_KEY": CLIENT_KEY, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self._told_to_stop = False
        self.log: list[dict] = []
        try:
            listening = self._read_until_listening()
        except BaseException:  # a test that is stopped here leaves no process behind either
            self._process.kill()
            self._process.wait()
            raise
        self.calls, self.admin = listening["calls"], listening["admin"]
        self.base_url = f"http://{self.calls}/v1"
        # Keeps the pipe empty: a full one would block the gateway.
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def _read_until_listening(self) -> dict:
        for line in self._process.stdout:
            self.log.append(json.loads(line))
            if self.log[-1].get("event") == "listening":
                return self.log[-1]
        self._process.wait(STOP_SECONDS_MAX)
        raise AssertionError(f"the gateway ended before it listened:\n{self._stderr_path.read_text()}")

    def _read_log(self) -> None:
        for line in self._process.stdout:
            self.log.append(json.loads(line))

    def terminate(self) -> None:
        """Tells it to stop, once: a second signal would make it leave at once."""
        if not self._told_to_stop:
            self._process.send_signal(signal.SIGTERM)
        self._told_to_stop = True

    def crash(self) -> None:
        """`kill -9`. Another one may begin in its folder."""
        self._process.kill()
        self._process.wait()
        self._reader.join(STOP_SECONDS_MAX)
        self._process.stdout.close()

    def stop(self) -> None:
        """Ends it as an orchestrator would, and checks that it ended well and kept its secrets."""
        self.terminate()
        try:
            code = self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError("the gateway did not stop on SIGTERM") from None
        self._reader.join(STOP_SECONDS_MAX)
        self._process.stdout.close()
        printed = json.dumps(self.log) + self._stderr_path.read_text()
        assert code == 0, f"exit code {code}:\n{self._stderr_path.read_text()}"
        for secret in self.secrets:
            assert secret not in printed, "a key was printed"

"""The upstreams of the matrix: every dialect that vendors speak, all of them at the one simulated vendor."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field

STOP_SECONDS_MAX = 20
# As fast as it can; long enough for the greeting.
OPTIONS = ["--listen", "127.0.0.1:0", "--first-token-ms", "0", "--tokens-per-s", "0", "--tokens", "20"]


@dataclass
class Upstream:
    """`unlike`: the clients and cases that are not as elsewhere, and why."""

    model: str
    config: str
    unlike: dict[tuple[str, str], str] = field(default_factory=dict)


TIMELESS = {("*", "retry-after"): "Bedrock throttles without saying for how long"}
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
UPSTREAMS = {
    "openai": Upstream("gpt-5.2", 'vendor: openai, base_url: "{sim}/v1", key: k'),
    "openai-chat": Upstream("gpt-5.2", 'vendor: openai, base_url: "{sim}/v1", key: k, dialects: [chat]'),
    "openai-responses": Upstream(
        "gpt-5.2",
        'vendor: openai, base_url: "{sim}/v1", key: k, dialects: [responses]',
        {("chat", "thoughts"): "it tells a summary where one is asked for; `reasoning_effort` asks for none"},
    ),
    "anthropic": Upstream("claude-sonnet-4-5", 'vendor: anthropic, base_url: "{sim}/v1", key: k'),
    "gemini": Upstream(
        "gemini-3-pro-preview",
        'vendor: gemini, base_url: "{sim}/v1beta", key: k',
        {("google", "ids"): "its calls have no ids, and its own clients get its own bytes"},
    ),
    "bedrock": Upstream(CLAUDE, 'vendor: bedrock, base_url: "{sim}", region: us-east-1, key: k', TIMELESS),
    "bedrock-signed": Upstream(
        CLAUDE,
        'vendor: bedrock, base_url: "{sim}", region: us-east-1,'
        " aws: {{ credentials: environment, access_key_id: AKIAEXAMPLE, secret_access_key: s }}",
        TIMELESS,
    ),
    "cohere": Upstream("command-a-reasoning-08-2025", 'vendor: cohere, base_url: "{sim}", key: k'),
}


def config(sim: Sim) -> str:
    lines = [f"  {name}: {{ prefixes: [], {it.config.format(sim=sim.url)} }}" for name, it in UPSTREAMS.items()]
    return "\n".join(["upstreams:", *lines, ""])


class Sim:
    """The simulated vendor, in a process of its own."""

    def __init__(self):
        command = [os.environ["TOLLGATE_BIN"], "sim", *OPTIONS]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        said = self._process.stdout.readline()  # simulated vendor on http://127.0.0.1:1234/v1
        self.url = said.split()[-1].removesuffix("/v1")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(STOP_SECONDS_MAX)
        self._process.stdout.close()

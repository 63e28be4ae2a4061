"""The gateways, clients and vendors that tests ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Before the SDK is imported: a proxy of the developer's machine must not carry calls to loopback.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"

import openai
import pytest

import upstreams
from gateway import CLIENT_KEY, Gateway
from redis_server import RedisServer
from upstreams import Sim
from vendor import Vendor

SIM = """
default_upstream: sim
routes:
  - { model: smart, targets: [sim/sim-small] }
"""

# Priority and a small bound on attempts, so that a test knows who is asked when.
VENDORS = """
default_upstream: alpha
upstreams:
  alpha: {{ vendor: openai-compatible, base_url: "{alpha}", key: "${{ALPHA_KEY}}" }}
  beta: {{ vendor: openai-compatible, base_url: "{beta}", key: "${{BETA_KEY}}" }}
routes:
  - {{ model: smart, policy: priority, targets: [alpha/alpha-1, beta/beta-1] }}
  - {{ model: unbroken, targets: [alpha/alpha-1, beta/beta-1], continue_cut_streams: true }}
  - {{ model: polite, targets: [alpha/alpha-1], defaults: {{ temperature: 0.5 }}, system: "You are kind." }}
"""
# Sessions in a Redis that has time enough on a machine that runs many tests.
IN_REDIS = """
sessions: {{ store: "{redis}", store_ms: 10000, redis: {{ connect_ms: 5000, command_ms: 5000 }} }}
"""
ALPHA_KEY, BETA_KEY = "vendor-key-of-alpha", "vendor-key-of-beta"
SECONDS_MAX = 30  # per call; a bound on a hang, never waited out by a passing test


def connect(gateway: Gateway, **options) -> openai.OpenAI:
    """A client of the official SDK. It does not retry unless a test asks for it: a retry would hide a failure."""
    given = {"api_key": CLIENT_KEY, "max_retries": 0, "timeout": SECONDS_MAX, **options}
    return openai.OpenAI(base_url=gateway.base_url, **given)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """A gateway in front of the simulated vendor alone, shared: its tests leave no trace in it."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), SIM)
    yield gateway
    gateway.stop()


@pytest.fixture
def client(gateway):
    with connect(gateway) as client:
        yield client


@pytest.fixture
async def async_client(gateway):
    async with openai.AsyncOpenAI(
        base_url=gateway.base_url, api_key=CLIENT_KEY, max_retries=0, timeout=SECONDS_MAX
    ) as client:
        yield client


@dataclass
class Scene:
    """A fresh gateway in front of two scripted vendors: what one test does to their health, no other sees."""

    gateway: Gateway
    client: openai.OpenAI
    alpha: Vendor
    beta: Vendor
    start: Callable[[], Gateway]

    def connect(self, **options) -> openai.OpenAI:
        return connect(self.gateway, **options)

    def crash_and_restart(self) -> None:
        """Kills the gateway, which cannot know of it, and starts another one in its folder."""
        self.client.close()
        self.gateway.crash()
        self.gateway = self.start()
        self.client = connect(self.gateway)


@contextmanager
def stage(folder: Path, more: str = "") -> Iterator[Scene]:
    """A scene, with `more` in its configuration."""
    alpha, beta = Vendor(), Vendor()
    config = VENDORS.format(alpha=alpha.base_url, beta=beta.base_url) + more

    def start() -> Gateway:
        return Gateway(folder, config, {"ALPHA_KEY": ALPHA_KEY, "BETA_KEY": BETA_KEY})

    gateway = start()
    scene = Scene(gateway, connect(gateway), alpha, beta, start)
    yield scene
    scene.client.close()
    scene.gateway.stop()
    alpha.close()
    beta.close()


@pytest.fixture
def scene(tmp_path):
    with stage(tmp_path) as scene:
        yield scene


@pytest.fixture
def redis(tmp_path):
    redis = RedisServer(tmp_path / "redis")
    yield redis
    redis.kill()


@pytest.fixture(params=["embedded", "redis"])
def keeper(request, tmp_path):
    """A scene whose gateway keeps sessions in a store that outlives it."""
    in_redis = request.param == "redis"
    more = IN_REDIS.format(redis=request.getfixturevalue("redis").url) if in_redis else ""
    with stage(tmp_path, more) as scene:
        yield scene


@pytest.fixture(scope="session")
def vendors():
    """The simulated vendor, at which the upstreams of the matrix are."""
    sim = Sim()
    yield sim
    sim.stop()


@pytest.fixture(scope="session")
def matrix(tmp_path_factory, vendors):
    """A gateway in front of every dialect, shared: its tests leave no trace in it."""
    gateway = Gateway(tmp_path_factory.mktemp("matrix"), upstreams.config(vendors))
    yield gateway
    gateway.stop()

"""The gateways, clients and vendors that tests ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass

# Before the SDK is imported: a proxy of the developer's machine must not carry calls to loopback.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"

import openai
import pytest

from gateway import CLIENT_KEY, Gateway
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

    def connect(self, **options) -> openai.OpenAI:
        return connect(self.gateway, **options)


@pytest.fixture
def scene(tmp_path):
    alpha, beta = Vendor(), Vendor()
    config = VENDORS.format(alpha=alpha.base_url, beta=beta.base_url)
    gateway = Gateway(tmp_path, config, {"ALPHA_KEY": ALPHA_KEY, "BETA_KEY": BETA_KEY})
    with connect(gateway) as client:
        yield Scene(gateway, client, alpha, beta)
    gateway.stop()
    alpha.close()
    beta.close()

"""What a client of the official SDK learns of where its call went and what it cost, when price decides."""

import openai
import pytest

from conftest import connect
from gateway import Gateway
from vendor import DONE, ROLE, STOP, USAGE, Vendor, chunk, completion, failure, stream

MESSAGES = [{"role": "user", "content": "Hello?"}]
# Alpha is cheap to read and dear to write, beta the other way round.
PRICED = """
upstreams:
  alpha: {{ vendor: openai-compatible, base_url: "{alpha}", price: {{ input: 1, output: 20 }} }}
  beta: {{ vendor: openai-compatible, base_url: "{beta}", price: {{ input: 10, output: 2 }}, facts: {{ vision: false }} }}
routes:
  - {{ model: smart, policy: cheapest, targets: [alpha/alpha-1, beta/beta-1] }}
"""


@pytest.fixture
def alpha():
    vendor = Vendor()
    yield vendor
    vendor.close()


@pytest.fixture
def beta():
    vendor = Vendor()
    yield vendor
    vendor.close()


@pytest.fixture
def client(tmp_path, alpha, beta):
    gateway = Gateway(tmp_path, PRICED.format(alpha=alpha.base_url, beta=beta.base_url))
    with connect(gateway) as client:
        yield client
    gateway.stop()


def ask(client, **more):
    return client.chat.completions.with_raw_response.create(model="smart", messages=MESSAGES, **more)


def told(raw) -> tuple:
    names = ("upstream", "model", "attempts", "cost-usd")
    return tuple(raw.headers.get(f"x-tollgate-{name}") for name in names)


def test_the_headers_tell_who_served_and_at_what_cost(client, alpha, beta):
    beta.will(completion("from beta"))
    raw = ask(client, max_tokens=300)
    assert raw.parse().choices[0].message.content == "from beta"
    # 5 tokens at 10 dollars the million and 2 at 2 dollars.
    assert told(raw) == ("beta", "beta-1", "1", "0.000054")
    alpha.will(completion("from alpha"))
    long = [{"role": "user", "content": "word " * 4000}]
    raw = client.chat.completions.with_raw_response.create(model="smart", messages=long, max_tokens=1)
    assert raw.parse().choices[0].message.content == "from alpha"
    assert told(raw) == ("alpha", "alpha-1", "1", "0.000045")


def test_the_dearer_one_takes_over_when_the_cheapest_fails(client, alpha, beta):
    beta.will(failure(503))
    alpha.will(completion("from alpha"))
    assert told(ask(client, max_tokens=300)) == ("alpha", "alpha-1", "2", "0.000045")


def test_a_stream_names_its_upstream_in_the_head(client, beta):
    beta.will(stream(ROLE, chunk({"content": "from beta"}), STOP, USAGE, DONE))
    raw = ask(client, max_tokens=300, stream=True)
    assert (raw.headers["x-tollgate-upstream"], raw.headers["x-tollgate-attempts"]) == ("beta", "1")
    assert "".join(it.choices[0].delta.content or "" for it in raw.parse() if it.choices) == "from beta"


def test_what_the_cheapest_cannot_do_goes_to_the_other(client, alpha):
    alpha.will(completion("seen"))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    raw = client.chat.completions.with_raw_response.create(model="smart", messages=messages, max_tokens=300)
    assert raw.headers["x-tollgate-upstream"] == "alpha"


def test_tags_that_no_target_has_are_the_clients_to_correct(client):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, extra_headers={"x-tollgate-tags": "eu"})
    assert caught.value.code == "no_target_fits" and "lacks the tag `eu`" in caught.value.message

"""Refusals: each is the SDK error that the same refusal of OpenAI would be."""

import http.client
import json

import openai
import pytest

from conftest import ALPHA_KEY
from gateway import CLIENT_KEY
from vendor import answer, failure

MESSAGES = [{"role": "user", "content": "Hello?"}]


def refusal(error, client, model="smart", **more):
    with pytest.raises(error) as caught:
        client.chat.completions.create(model=model, messages=MESSAGES, **more)
    assert caught.value.message and caught.value.response.headers["x-request-id"]
    return caught.value


@pytest.mark.parametrize("key", ["key-of-nobody", CLIENT_KEY + "x", CLIENT_KEY[:-1]])
def test_a_wrong_key_is_refused(scene, key):
    refused = refusal(openai.AuthenticationError, scene.connect(api_key=key))
    assert refused.code == "invalid_api_key" and key not in refused.message
    assert scene.alpha.received == []


async def test_a_wrong_key_is_refused_asynchronously(gateway):
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="smart", messages=MESSAGES)


@pytest.mark.parametrize("header", ["api-key", "x-api-key"])
def test_a_key_may_come_in_another_header(gateway, header):
    connection = http.client.HTTPConnection(gateway.calls, timeout=30)
    connection.request("GET", "/v1/models", headers={header: CLIENT_KEY})
    assert connection.getresponse().status == 200
    connection.close()


def test_an_unknown_model_is_refused_with_a_near_miss(client):
    refused = refusal(openai.NotFoundError, client, "smrat")
    assert refused.code == "model_not_found" and refused.param == "model"
    assert "smrat" in refused.message and "smart" in refused.message


def test_a_model_the_vendor_does_not_know_is_refused(client):
    assert refusal(openai.NotFoundError, client, "sim/missing-x").code == "model_not_found"


@pytest.mark.parametrize("field, value", [("stream", "true"), ("model", 7)])
def test_a_field_of_a_wrong_type_is_refused_by_name(client, field, value):
    refused = refusal(openai.BadRequestError, client, extra_body={field: value})
    assert refused.param == field and refused.type == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [
        '{"model":"smart","model":"sim/sim-small","messages":[]}',
        '{"model":"smart","messages":[]',
        '{"model":"smart","messages":[]} {}',
        '["model","smart"]',
        "",
    ],
    ids=["two models", "cut", "trailing data", "an array", "empty"],
)
def test_a_body_that_cannot_be_routed_is_refused(scene, body):
    connection = http.client.HTTPConnection(scene.gateway.calls, timeout=30)
    headers = {"authorization": f"Bearer {CLIENT_KEY}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    response = connection.getresponse()
    error = json.loads(response.read())["error"]
    connection.close()
    assert response.status == 400 and error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code"}
    assert scene.alpha.received == []


def test_the_vendors_view_of_a_bad_request_is_passed_on(scene):
    wrong = {"type": "invalid_request_error", "code": "integer_above_max_value", "param": "max_tokens"}
    scene.alpha.will(failure(400, "max_tokens is too large", **wrong))
    refused = refusal(openai.BadRequestError, scene.client, max_tokens=10**9)
    assert (refused.code, refused.param, refused.type) == (wrong["code"], wrong["param"], wrong["type"])
    assert "max_tokens is too large" in refused.message
    assert scene.beta.received == []


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_vendor_that_refuses_the_gateways_key_is_not_the_clients_fault(scene, status):
    scene.alpha.will(failure(status, f"Incorrect API key provided: {ALPHA_KEY}", code="invalid_api_key"))
    # A retry cannot help, and the SDK is told so: one line of the script is enough.
    refused = refusal(openai.InternalServerError, scene.connect(max_retries=2), "alpha/alpha-1")
    assert refused.response.headers["x-should-retry"] == "false"
    assert ALPHA_KEY not in refused.response.text


def test_a_rate_limit_of_the_only_vendor_is_passed_on_with_its_wait(scene):
    scene.alpha.will(failure(429, "slow down", type="requests", code="rate_limit_exceeded", retry_after="7"))
    refused = refusal(openai.RateLimitError, scene.client, "alpha/alpha-1")
    assert refused.code == "rate_limit_exceeded" and "slow down" in refused.message
    assert refused.response.headers["retry-after"] == "7"


def test_the_simulated_failure_is_a_server_error(client):
    refused = refusal(openai.InternalServerError, client, "sim/sim-small:fail-503")
    assert refused.status_code == 503


def test_an_error_inside_a_good_answer_is_an_error(scene):
    inside = {"error": {"message": "engine on fire", "type": "server_error", "code": None, "param": None}}
    scene.alpha.will(answer(inside))
    assert "engine on fire" in refusal(openai.InternalServerError, scene.client, "alpha/alpha-1").message

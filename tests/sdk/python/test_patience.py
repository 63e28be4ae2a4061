"""Retries of the SDK, time-outs, and clients that leave."""

import asyncio
import threading

import openai
import pytest

from conftest import SECONDS_MAX
from gateway import CLIENT_KEY
from vendor import DONE, ROLE, STOP, Answer, chunk, completion, failure, stream

MESSAGES = [{"role": "user", "content": "Hello?"}]
SILENT = Answer(silent=True)


@pytest.mark.parametrize("first", [failure(500), failure(503), failure(429, retry_after="1")], ids=["500", "503", "429"])
def test_the_sdk_retries_what_the_only_vendor_failed(scene, first):
    scene.alpha.will(first, completion("at last"))
    made = scene.connect(max_retries=1).chat.completions.create(model="alpha/alpha-1", messages=MESSAGES)
    assert made.choices[0].message.content == "at last"


def test_the_sdk_gives_up_after_its_retries(scene):
    scene.alpha.will(failure(503), failure(503))
    with pytest.raises(openai.InternalServerError) as caught:
        scene.connect(max_retries=1).chat.completions.create(model="alpha/alpha-1", messages=MESSAGES)
    assert caught.value.status_code == 503


def test_the_sdk_does_not_retry_a_bad_request(scene):
    scene.alpha.will(failure(400, type="invalid_request_error"))
    with pytest.raises(openai.BadRequestError):
        scene.connect(max_retries=3).chat.completions.create(model="alpha/alpha-1", messages=MESSAGES)


def test_a_call_the_client_gave_up_on_is_ended_at_the_vendor(scene):
    scene.alpha.will(SILENT)
    with pytest.raises(openai.APITimeoutError):
        scene.client.with_options(timeout=1).chat.completions.create(model="alpha/alpha-1", messages=MESSAGES)
    assert scene.alpha.caller_left.wait(SECONDS_MAX)


def test_a_stream_the_client_left_is_ended_at_the_vendor(scene):
    scene.alpha.will(stream(ROLE, chunk({"content": "one"}), then="hold"))
    chunks = scene.client.chat.completions.create(model="smart", messages=MESSAGES, stream=True)
    assert next(chunks).choices
    chunks.close()
    assert scene.alpha.caller_left.wait(SECONDS_MAX)
    assert scene.beta.received == []


async def test_a_cancelled_task_ends_the_call_at_the_vendor(scene):
    scene.alpha.will(SILENT)
    client = openai.AsyncOpenAI(base_url=scene.gateway.base_url, api_key=CLIENT_KEY, max_retries=0)
    async with client, asyncio.timeout(SECONDS_MAX):
        call = asyncio.create_task(client.chat.completions.create(model="alpha/alpha-1", messages=MESSAGES))
        await asyncio.to_thread(scene.alpha.asked.wait, SECONDS_MAX)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(scene.alpha.caller_left.wait, SECONDS_MAX)


def test_a_hanging_model_times_out_at_the_client(client):
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(model="sim/sim-small:hang", messages=MESSAGES)


def test_a_slow_model_streams_to_its_end(client):
    chunks = list(client.chat.completions.create(model="sim/sim-small:slow", messages=MESSAGES, stream=True))
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_connection_serves_the_next_call_after_a_failed_one(scene):
    scene.alpha.will(failure(400), stream(ROLE, chunk({"content": "one"}), then="cut"), completion("still here"))
    ask = scene.client.chat.completions.create
    with pytest.raises(openai.BadRequestError):
        ask(model="alpha/alpha-1", messages=MESSAGES)
    with pytest.raises(openai.APIError):
        list(ask(model="alpha/alpha-1", messages=MESSAGES, stream=True))
    assert ask(model="alpha/alpha-1", messages=MESSAGES).choices[0].message.content == "still here"


def test_a_stream_that_is_open_when_the_gateway_is_told_to_stop_ends_well(scene):
    told = threading.Event()
    scene.alpha.will(stream(ROLE, chunk({"content": "one "}), told, chunk({"content": "two"}), STOP, DONE))
    chunks = scene.client.chat.completions.create(model="smart", messages=MESSAGES, stream=True)
    text = ""
    for it in chunks:
        text += it.choices[0].delta.content or ""
        if text == "one ":
            scene.gateway.terminate()
            told.set()
    assert text == "one two"

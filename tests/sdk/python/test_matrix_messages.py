"""Anthropic's SDK at every upstream: what only Messages has."""

from __future__ import annotations

import anthropic
import pytest

from talks import Messages
from upstreams import UPSTREAMS


@pytest.fixture(params=UPSTREAMS)
def model(request):
    return f"{request.param}/{UPSTREAMS[request.param].model}"


@pytest.fixture
def sdk(matrix):
    with Messages(matrix, "").sdk() as sdk:
        yield sdk


def asked(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "Good morning!"}], "max_tokens": 64, **more}


def test_tokens_are_counted(sdk, model):
    few, many = (
        sdk.messages.count_tokens(model=model, messages=[{"role": "user", "content": "word " * count}]).input_tokens
        for count in (1, 1000)
    )
    assert 0 < few < 50 < many


def test_a_stream_tells_its_events_in_order(sdk, model):
    with sdk.messages.stream(**asked(model)) as stream:
        events = [it.type for it in stream]
        made = stream.get_final_message()
    ends = ["content_block_stop", "message_delta", "message_stop"]
    assert events[0] == "message_start" and events[-3:] == ends, events
    assert made.id and made.role == "assistant" and made.usage.output_tokens == 20


def test_a_tools_error_comes_with_what_else_is_said(sdk, model):
    tools = [{"name": "weather", "description": "Tells it.", "input_schema": {"type": "object", "properties": {}}}]
    first = sdk.messages.create(**asked(model, tools=tools))
    [call] = [it for it in first.content if it.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": call.id, "is_error": True, "content": [{"type": "text", "text": "no"}]}
    turns = [
        *asked(model)["messages"],
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result, {"type": "text", "text": "Well?"}]},
    ]
    assert sdk.messages.create(**asked(model, tools=tools, messages=turns)).content


def test_models_are_listed(sdk):
    ids = [it.id for it in sdk.models.list()]
    assert ids and all(sdk.models.retrieve(it).id == it for it in ids[:3])


@pytest.mark.parametrize(
    "error, more",
    [
        (anthropic.NotFoundError, {"model": "nobody/nothing"}),
        (anthropic.BadRequestError, {"messages": "Good morning!"}),
    ],
)
def test_the_gateways_own_refusals_are_the_sdks_errors(sdk, error, more):
    with pytest.raises(error) as caught:
        sdk.messages.create(**asked("anthropic/claude-sonnet-4-5") | more)
    assert caught.value.body["type"] == "error" and caught.value.request_id


def test_a_wrong_key_is_refused(matrix, sdk):
    with pytest.raises(anthropic.AuthenticationError):
        sdk.with_options(api_key="wrong").messages.create(**asked("anthropic/claude-sonnet-4-5"))

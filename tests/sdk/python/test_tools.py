"""Tool calls: single, parallel, streamed, and the turn after."""

import json

import pytest

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "The time in a zone.",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    },
}
QUESTION = [{"role": "user", "content": "What is the weather in Oslo, and what time is it?"}]


def ask(client, tools, **more):
    return client.chat.completions.create(model="sim/sim-small", messages=QUESTION, tools=tools, **more)


def check_calls(calls, count):
    assert len(calls) == count and len({call.id for call in calls}) == count
    assert all(call.type == "function" and call.function.name in ("weather", "clock") for call in calls)
    assert all(isinstance(json.loads(call.function.arguments), dict) for call in calls)


@pytest.mark.parametrize("tools, count", [([WEATHER], 1), ([WEATHER, CLOCK], 2)])
def test_tools_are_called_in_parallel_when_there_are_several(client, tools, count):
    choice = ask(client, tools).choices[0]
    assert choice.finish_reason == "tool_calls"
    check_calls(choice.message.tool_calls, count)


def test_tool_results_lead_to_an_answer(client):
    asked = ask(client, [WEATHER, CLOCK]).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": '{"ok":true}'} for call in asked.tool_calls]
    answered = client.chat.completions.create(
        model="sim/sim-small", messages=[*QUESTION, asked, *results], tools=[WEATHER, CLOCK]
    )
    assert answered.choices[0].finish_reason == "stop"
    assert answered.choices[0].message.content and not answered.choices[0].message.tool_calls


@pytest.mark.parametrize("tools, count", [([WEATHER], 1), ([WEATHER, CLOCK], 2)])
def test_streamed_tool_calls_can_be_put_together(client, tools, count):
    calls, finish = {}, None
    for it in ask(client, tools, stream=True):
        finish = it.choices[0].finish_reason or finish
        for delta in it.choices[0].delta.tool_calls or []:
            call = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
            call["id"] += delta.id or ""
            call["name"] += delta.function.name or ""
            call["arguments"] += delta.function.arguments or ""
    assert finish == "tool_calls" and sorted(calls) == list(range(count))
    for call in calls.values():
        assert call["id"] and call["name"] in ("weather", "clock")
        assert isinstance(json.loads(call["arguments"]), dict)


def test_the_stream_helper_puts_tool_calls_together(client):
    with client.chat.completions.stream(model="sim/sim-small", messages=QUESTION, tools=[WEATHER, CLOCK]) as stream:
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    check_calls(choice.message.tool_calls, 2)


async def test_tools_are_called_asynchronously(async_client):
    choice = (await ask(async_client, [WEATHER])).choices[0]
    check_calls(choice.message.tool_calls, 1)

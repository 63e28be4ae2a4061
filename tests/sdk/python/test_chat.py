"""Chat and legacy completions, without streaming."""

import asyncio

from conftest import connect
from vendor import completion

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Good morning!"}]


def check_completion(made):
    choice = made.choices[0]
    assert made.object == "chat.completion"
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason == "stop"
    assert made.usage.completion_tokens > 0
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens


def test_a_chat_is_answered(client):
    check_completion(client.chat.completions.create(model="sim/sim-small", messages=MESSAGES))


async def test_a_chat_is_answered_asynchronously(async_client):
    check_completion(await async_client.chat.completions.create(model="sim/sim-small", messages=MESSAGES))


async def test_many_chats_at_once_are_all_answered(async_client):
    call = async_client.chat.completions.create
    for made in await asyncio.gather(*(call(model="sim/sim-small", messages=MESSAGES) for _ in range(50))):
        check_completion(made)


def test_an_alias_is_a_model(client):
    check_completion(client.chat.completions.create(model="smart", messages=MESSAGES))


def test_an_operators_defaults_and_system_prompt_are_added_to_a_call(scene):
    scene.alpha.will(completion(), completion())
    scene.client.chat.completions.create(model="polite", messages=MESSAGES[1:])
    sent = scene.alpha.last.json()
    assert sent["model"] == "alpha-1" and sent["temperature"] == 0.5
    assert sent["messages"] == [{"role": "system", "content": "You are kind."}, *MESSAGES[1:]]

    scene.client.chat.completions.create(model="polite", messages=MESSAGES[1:], temperature=1.5)
    assert scene.alpha.last.json()["temperature"] == 1.5


def test_a_raw_response_names_the_call_and_who_answered_it(scene):
    scene.alpha.will(completion("Hello."))
    raw = scene.client.chat.completions.with_raw_response.create(model="smart", messages=MESSAGES)
    assert raw.headers["x-request-id"]
    assert raw.headers["x-tollgate-upstream"] == "alpha"
    assert raw.headers["x-tollgate-model"] == "alpha-1"
    assert raw.headers["x-tollgate-attempts"] == "1"
    parsed = raw.parse()
    assert parsed.choices[0].message.content == "Hello."
    assert parsed._request_id == raw.headers["x-request-id"]


def test_a_legacy_completion_is_answered(client):
    made = client.completions.create(model="sim/sim-small", prompt="Once upon a time", max_tokens=16)
    assert made.object == "text_completion"
    assert made.choices[0].text and made.choices[0].finish_reason


def test_a_legacy_completion_streams(client):
    chunks = list(client.completions.create(model="sim/sim-small", prompt="Once upon a time", stream=True))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices)
    assert chunks[-1].choices[0].finish_reason


def test_the_path_works_without_v1(gateway):
    with connect(gateway).with_options(base_url=f"http://{gateway.calls}") as client:
        check_completion(client.chat.completions.create(model="sim/sim-small", messages=MESSAGES))

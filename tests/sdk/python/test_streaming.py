"""Streamed chats: what arrives, in which order, and how a stream ends."""

import openai
import pytest

from vendor import DONE, ROLE, STOP, USAGE, chunk, stream

MESSAGES = [{"role": "user", "content": "Count to three."}]
WORDS = [chunk({"content": word}) for word in ("one ", "two ", "three")]


def text_of(chunks):
    return "".join(choice.delta.content or "" for it in chunks for choice in it.choices)


def check_stream(chunks):
    assert all(it.object == "chat.completion.chunk" for it in chunks)
    assert text_of(chunks)
    assert [choice.finish_reason for it in chunks for choice in it.choices if choice.finish_reason] == ["stop"]


def test_a_chat_streams(client):
    chunks = list(client.chat.completions.create(model="sim/sim-small", messages=MESSAGES, stream=True))
    assert len(chunks) > 2
    check_stream(chunks)


async def test_a_chat_streams_asynchronously(async_client):
    stream = await async_client.chat.completions.create(model="sim/sim-small", messages=MESSAGES, stream=True)
    check_stream([chunk async for chunk in stream])


def test_a_long_stream_arrives_whole(client):
    model = "sim/sim-small:tokens-500"
    chunks = list(client.chat.completions.create(model=model, messages=MESSAGES, stream=True))
    assert len(chunks) >= 500
    check_stream(chunks)


def test_usage_comes_last_when_it_is_asked_for(client):
    chunks = list(
        client.chat.completions.create(
            model="sim/sim-small", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(it.usage is None for it in chunks[:-1])


def test_usage_does_not_come_when_it_is_not_asked_for(client):
    chunks = list(client.chat.completions.create(model="sim/sim-small", messages=MESSAGES, stream=True))
    assert all(it.choices and it.usage is None for it in chunks)


def test_usage_is_asked_of_the_vendor_and_kept_from_a_client_that_did_not_ask(scene):
    scene.alpha.will(stream(ROLE, *WORDS, STOP, USAGE, DONE))
    chunks = list(scene.client.chat.completions.create(model="smart", messages=MESSAGES, stream=True))
    assert scene.alpha.last.json()["stream_options"] == {"include_usage": True}
    assert all(it.choices and it.usage is None for it in chunks)
    assert text_of(chunks) == "one two three"


def test_the_clients_own_stream_options_are_kept(scene):
    scene.alpha.will(stream(ROLE, *WORDS, STOP, USAGE, DONE))
    options = {"include_usage": True, "include_obfuscation": False}
    chunks = list(
        scene.client.chat.completions.create(model="smart", messages=MESSAGES, stream=True, stream_options=options)
    )
    assert scene.alpha.last.json()["stream_options"] == options
    assert chunks[-1].usage.total_tokens == 7


def test_a_stream_may_be_split_anywhere(scene):
    whole = b"".join([ROLE, chunk({"content": "Grüße, 世界 🌍"}), chunk({"content": " [DONE]"}), STOP, DONE])
    scene.alpha.will(stream(*(whole[at : at + 1] for at in range(len(whole)))))
    chunks = list(scene.client.chat.completions.create(model="smart", messages=MESSAGES, stream=True))
    assert text_of(chunks) == "Grüße, 世界 🌍 [DONE]"


def test_every_event_arrives_before_the_next_one_is_due(scene):
    # The vendor goes silent after its second word; a gateway that gathers events would wait for the end.
    scene.alpha.will(stream(ROLE, *WORDS[:2], then="hold"))
    with scene.client.chat.completions.create(model="smart", messages=MESSAGES, stream=True) as chunks:
        text = ""
        while text != "one two ":
            text += text_of([next(chunks)])


def test_the_stream_helper_puts_the_answer_together(client):
    with client.chat.completions.stream(model="sim/sim-small", messages=MESSAGES) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        completion = stream.get_final_completion()
    assert completion.choices[0].message.content == "".join(deltas) != ""


def test_a_raw_streamed_response_has_headers_before_its_body(client):
    create = client.chat.completions.with_streaming_response.create
    with create(model="sim/sim-small", messages=MESSAGES, stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-tollgate-upstream"] == "sim"
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"


def text_before_the_cut(chunks):
    seen = []
    with pytest.raises(openai.APIError) as caught:
        for it in chunks:
            seen.append(it)
    assert caught.value.code == "upstream_cut"
    return text_of(seen)


def test_a_cut_stream_is_an_error_after_what_was_said(client):
    model = "sim/sim-small:cut"
    assert text_before_the_cut(client.chat.completions.create(model=model, messages=MESSAGES, stream=True))


def test_a_stream_cut_after_content_is_an_error_and_nobody_else_is_asked(scene):
    scene.alpha.will(stream(ROLE, *WORDS[:2], then="cut"))
    chunks = scene.client.chat.completions.create(model="smart", messages=MESSAGES, stream=True)
    assert text_before_the_cut(chunks) == "one two "
    assert scene.beta.received == []


def test_a_vendor_that_ends_without_done_has_ended(scene):
    scene.alpha.will(stream(ROLE, *WORDS, STOP))
    chunks = list(scene.client.chat.completions.create(model="smart", messages=MESSAGES, stream=True))
    assert text_of(chunks) == "one two three"


async def test_a_cut_stream_is_an_error_asynchronously(async_client):
    stream = await async_client.chat.completions.create(model="sim/sim-small:cut", messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError) as caught:
        async for _ in stream:
            pass
    assert caught.value.code == "upstream_cut"

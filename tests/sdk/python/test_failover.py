"""What a client sees when the first vendor fails: the second one's answer and nothing of the first."""

import openai
import pytest

from vendor import DONE, ROLE, STOP, Answer, answer, chunk, completion, event, failure, stream

MESSAGES = [{"role": "user", "content": "Hello?"}]
ERROR = {"error": {"message": "overloaded", "type": "server_error", "param": None, "code": None}}
PAGE = Answer(200, b"<html><body>Welcome</body></html>", {"content-type": "text/html"})
FAILURES = {
    "408": failure(408),
    "429": failure(429, retry_after="20"),
    "500": failure(500),
    "503": failure(503),
    "529": failure(529),
    "401": failure(401),
    "402": failure(402),
    "403": failure(403),
    "model not found": failure(404, code="model_not_found"),
    "error in a 200": answer(ERROR),
    "a page in a 200": PAGE,
    "a cut body": Answer(pieces=[b'{"id":"chatcmpl-1",'], then="cut"),
    "no bytes": Answer(pieces=[], then="cut"),
}
BEFORE_CONTENT = {
    "role alone": stream(ROLE, then="cut"),
    "no choices": stream(chunk(), then="cut"),
    "a comment": stream(b": waiting\n\n", then="cut"),
    "error first": stream(event(ERROR), DONE),
    "error after role": stream(ROLE, event(ERROR), DONE),
    "nothing": stream(),
    "503": failure(503),
    "a page": PAGE,
}


@pytest.mark.parametrize("bad", FAILURES.values(), ids=FAILURES)
def test_another_vendor_answers_in_place_of_one_that_failed(scene, bad):
    scene.alpha.will(bad)
    scene.beta.will(completion("from beta"))
    raw = scene.client.chat.completions.with_raw_response.create(model="smart", messages=MESSAGES)
    assert raw.parse().choices[0].message.content == "from beta"
    assert (raw.headers["x-tollgate-upstream"], raw.headers["x-tollgate-attempts"]) == ("beta", "2")
    assert scene.alpha.last.json()["model"] == "alpha-1" and scene.beta.last.json()["model"] == "beta-1"


@pytest.mark.parametrize("bad", BEFORE_CONTENT.values(), ids=BEFORE_CONTENT)
def test_another_vendor_streams_in_place_of_one_that_failed_before_content(scene, bad):
    scene.alpha.will(bad)
    scene.beta.will(stream(ROLE, chunk({"content": "from "}), chunk({"content": "beta"}), STOP, DONE))
    chunks = list(scene.client.chat.completions.create(model="smart", messages=MESSAGES, stream=True))
    assert "".join(it.choices[0].delta.content or "" for it in chunks) == "from beta"
    assert sum(it.choices[0].delta.role == "assistant" for it in chunks) == 1


def test_a_refused_connection_moves_on(scene):
    scene.alpha.close()
    scene.beta.will(completion("from beta"))
    made = scene.client.chat.completions.create(model="smart", messages=MESSAGES)
    assert made.choices[0].message.content == "from beta"


def test_a_large_prompt_fails_over_like_a_small_one(scene):
    messages = [{"role": "user", "content": "0123456789abcdef" * (1 << 19)}]
    scene.alpha.will(failure(503))
    scene.beta.will(completion("from beta"))
    made = scene.client.chat.completions.create(model="smart", messages=messages)
    assert made.choices[0].message.content == "from beta"
    assert scene.beta.last.json()["messages"] == messages


def test_embeddings_fail_over(scene):
    scene.alpha.will(failure(500))
    vector = {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    scene.beta.will(answer({"object": "list", "model": "beta-1", "data": [vector], "usage": usage}))
    made = scene.client.embeddings.create(model="smart", input="x", encoding_format="float")
    assert made.data[0].embedding == [0.5, -0.25]


def test_the_clients_own_fault_does_not_move_on(scene):
    scene.alpha.will(failure(422, "no", type="invalid_request_error"))
    with pytest.raises(openai.UnprocessableEntityError):
        scene.client.chat.completions.create(model="smart", messages=MESSAGES)
    assert scene.beta.received == []


def test_a_failure_of_all_is_told_by_the_most_telling_one(scene):
    scene.alpha.will(failure(429, "slow down", type="requests", code="rate_limit_exceeded", retry_after="20"))
    scene.beta.close()
    with pytest.raises(openai.RateLimitError) as caught:
        scene.client.chat.completions.create(model="smart", messages=MESSAGES)
    assert caught.value.response.headers["x-tollgate-attempts"] == "2"
    assert "127.0.0.1" not in caught.value.response.text


def test_a_stream_that_another_vendor_continues_is_one_answer(scene):
    scene.alpha.will(stream(ROLE, chunk({"content": "from "}), chunk({"content": "al"}), then="cut"))
    own = {"id": "chatcmpl-of-beta", "model": "beta-1"}
    preamble = chunk({"role": "assistant", "content": ""}, **own)
    usage = chunk(usage={"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}, **own)
    scene.beta.will(stream(preamble, chunk({"content": "pha"}, **own), chunk({}, "stop", **own), usage, DONE))
    asked = {"model": "unbroken", "messages": MESSAGES, "stream_options": {"include_usage": True}}
    with scene.client.chat.completions.stream(**asked) as events:
        seen = {it.chunk.id for it in events if it.type == "chunk"}
        made = events.get_final_completion()
    assert made.choices[0].message.content == "from alpha" and made.choices[0].message.role == "assistant"
    assert made.choices[0].finish_reason == "stop" and made.usage.total_tokens == 10
    assert seen == {"chatcmpl-1"}

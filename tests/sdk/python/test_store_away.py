"""What a client sees of a gateway whose Redis is taken away, and brought back."""

import openai
import pytest

from conftest import IN_REDIS, stage
from vendor import completion

MESSAGES = [{"role": "user", "content": "Hello?"}]
ASKED = {"model": "smart", "messages": MESSAGES}
NAMED = {"x-session-id": "s-1"}


def refused(ask) -> openai.InternalServerError:
    with pytest.raises(openai.InternalServerError) as caught:
        ask()
    assert (caught.value.status_code, caught.value.code) == (503, "session_store_unavailable")
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert caught.value.request_id
    return caught.value


def test_calls_that_name_a_session_wait_for_redis_and_others_do_not(tmp_path, redis):
    with stage(tmp_path, IN_REDIS.format(redis=redis.url)) as scene:
        chat = scene.client.chat.completions
        scene.alpha.otherwise = lambda request: completion(f"message {len(request.json()['messages'])}")

        def say(client=scene.client) -> str:
            made = client.chat.completions.create(**ASKED, extra_headers=NAMED)
            return made.choices[0].message.content

        assert [say(), say()] == ["message 1", "message 3"]
        redis.kill()
        asked = len(scene.alpha.received)
        for _ in range(7):  # beyond the failures after which the store is left alone
            refused(say)
        refused(lambda: chat.create(**ASKED, extra_headers=NAMED, stream=True))
        refused(lambda: scene.client.conversations.retrieve("s-1"))
        refused(lambda: chat.list())
        assert len(scene.alpha.received) == asked, "no vendor is asked what could only be answered wrongly"
        assert chat.create(**ASKED).choices[0].message.content == "message 1"

        redis.start_again()
        # The SDK waits for as long as it was told to.
        assert say(scene.connect(max_retries=5)) == "message 5"
        assert say() == "message 7"


def test_an_answer_that_redis_cannot_take_is_there_when_it_is_back(tmp_path, redis):
    with stage(tmp_path, IN_REDIS.format(redis=redis.url)) as scene:

        def answer_without_redis(_):
            redis.kill()
            return completion("It left meanwhile.")

        scene.alpha.will(completion("Hello."))
        scene.client.chat.completions.create(**ASKED, extra_headers=NAMED)
        scene.alpha.otherwise = answer_without_redis
        raw = scene.client.chat.completions.with_raw_response.create(**ASKED, extra_headers=NAMED)
        assert raw.parse().choices[0].message.content == "It left meanwhile."
        assert raw.headers["x-tollgate-session"] == "spooled"

        scene.crash_and_restart()
        redis.start_again()
        scene.alpha.otherwise = lambda _: completion("And back.")
        scene.connect(max_retries=5).chat.completions.create(**ASKED, extra_headers=NAMED)
        said = [it["content"] for it in scene.alpha.last.json()["messages"]]
        assert said == ["Hello?", "Hello.", "Hello?", "It left meanwhile.", "Hello?"]

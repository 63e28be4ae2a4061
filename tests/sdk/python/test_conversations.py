"""Conversations and stored completions, which the gateway keeps itself, through the official SDK."""

import openai
import pytest

from conftest import connect
from gateway import Gateway
from vendor import DONE, ROLE, STOP, USAGE, Vendor, chunk, completion, stream

CONFIG = """
sessions: {{ store: memory }}
upstreams:
  alpha: {{ vendor: openai-compatible, base_url: "{alpha}" }}
routes:
  - {{ model: smart, targets: [alpha/alpha-1] }}
"""


@pytest.fixture
def alpha():
    vendor = Vendor()
    yield vendor
    vendor.close()


@pytest.fixture
def keeper(tmp_path, alpha):
    gateway = Gateway(tmp_path, CONFIG.format(alpha=alpha.base_url))
    with connect(gateway) as client:
        yield client
    gateway.stop()


def said(text, role="user"):
    return {"type": "message", "role": role, "content": text}


def test_a_conversation_lives_changes_and_dies(keeper):
    made = keeper.conversations.create(metadata={"topic": "trip"}, items=[said("Hi")])
    assert made.object == "conversation" and made.id.startswith("conv_") and made.created_at > 0
    assert keeper.conversations.retrieve(made.id) == made
    assert keeper.conversations.update(made.id, metadata={"topic": "food"}).metadata == {"topic": "food"}
    gone = keeper.conversations.delete(made.id)
    assert gone.deleted and gone.object == "conversation.deleted" and gone.id == made.id
    with pytest.raises(openai.NotFoundError) as caught:
        keeper.conversations.retrieve(made.id)
    assert caught.value.code == "session_not_found"


def test_items_are_paged_retrieved_and_deleted(keeper):
    made = keeper.conversations.create()
    added = []
    for start in range(0, 45, 15):
        page = keeper.conversations.items.create(made.id, items=[said(f"m{it}") for it in range(start, start + 15)])
        added += page.data
        assert page.first_id == page.data[0].id and page.last_id == page.data[-1].id and not page.has_more
    newest_first = list(keeper.conversations.items.list(made.id))
    assert [it.id for it in newest_first] == [it.id for it in reversed(added)]
    oldest_first = list(keeper.conversations.items.list(made.id, order="asc", limit=7))
    assert [it.content[0].text for it in oldest_first] == [f"m{it}" for it in range(45)]
    assert all(it.type == "message" and it.role == "user" and it.status == "completed" for it in oldest_first)

    one = keeper.conversations.items.retrieve(added[3].id, conversation_id=made.id)
    assert one == added[3] and one.content[0].type == "input_text"
    left = keeper.conversations.items.delete(added[3].id, conversation_id=made.id)
    assert left.id == made.id and left.object == "conversation"
    with pytest.raises(openai.NotFoundError):
        keeper.conversations.items.retrieve(added[3].id, conversation_id=made.id)
    for item in keeper.conversations.items.list(made.id, limit=10):
        keeper.conversations.items.delete(item.id, conversation_id=made.id)
    assert list(keeper.conversations.items.list(made.id)) == []


async def test_items_are_listed_asynchronously(keeper):
    made = keeper.conversations.create(items=[said(f"m{it}") for it in range(5)])
    async with openai.AsyncOpenAI(base_url=keeper.base_url, api_key=keeper.api_key, max_retries=0) as client:
        texts = [it.content[0].text async for it in client.conversations.items.list(made.id, limit=2, order="asc")]
    assert texts == ["m0", "m1", "m2", "m3", "m4"]


def test_every_kind_of_item_is_what_the_sdk_expects(keeper):
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    items = [
        said("Be brief.", "developer"),
        {"role": "user", "content": [{"type": "input_text", "text": "2+2?"}, image]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "4"},
        said("four", "assistant"),
    ]
    made = keeper.conversations.create(items=items)
    back = list(keeper.conversations.items.list(made.id, order="asc"))
    kinds = ["message", "message", "reasoning", "function_call", "function_call_output", "message"]
    assert [it.type for it in back] == kinds
    assert [type(it).__name__ for it in back] == [
        "Message",
        "Message",
        "ResponseReasoningItem",
        "ResponseFunctionToolCallItem",
        "ResponseFunctionToolCallOutputItem",
        "Message",
    ]
    assert back[1].content[1].detail == "low" and back[2].summary[0].text == "hm"
    assert back[5].content[0].type == "output_text" and back[5].content[0].annotations == []
    assert len({it.id for it in back}) == 6


def test_a_chat_goes_on_with_a_conversation_and_becomes_items(keeper, alpha):
    made = keeper.conversations.create(items=[said("I am Ada."), said("Hello, Ada.", "assistant")])
    alpha.will(completion("Ada."))
    question = {"role": "user", "content": "Who am I?"}
    raw = keeper.chat.completions.with_raw_response.create(
        model="smart", messages=[question], extra_headers={"x-session-id": made.id}
    )
    assert raw.headers["x-session-id"] == made.id
    texts = [it["content"] for it in alpha.last.json()["messages"]]
    assert texts == ["I am Ada.", "Hello, Ada.", "Who am I?"]
    back = keeper.conversations.items.list(made.id, limit=2).data
    assert [(it.role, it.content[0].text) for it in back] == [("assistant", "Ada."), ("user", "Who am I?")]


def test_another_key_sees_nothing(keeper):
    made = keeper.conversations.create(items=[said("Hi")])
    with pytest.raises(openai.AuthenticationError):
        keeper.with_options(api_key="somebody").conversations.retrieve(made.id)


def test_stored_completions_are_listed_shown_changed_and_deleted(keeper, alpha):
    for at in range(5):
        alpha.will(completion(f"a{at}", id=f"chatcmpl-{at}"))
        keeper.chat.completions.create(
            model="smart",
            messages=[{"role": "system", "content": "s"}, {"role": "user", "content": f"q{at}"}],
            store=True,
            metadata={"odd": str(at % 2)},
        )
    alpha.will(completion("not kept", id="chatcmpl-9"))
    keeper.chat.completions.create(model="smart", messages=[{"role": "user", "content": "q"}])

    ids = [f"chatcmpl-{at}" for at in range(5)]
    assert [it.id for it in keeper.chat.completions.list(limit=2)] == ids
    assert [it.id for it in keeper.chat.completions.list(limit=2, order="desc")] == ids[::-1]
    assert [it.id for it in keeper.chat.completions.list(limit=1, metadata={"odd": "1"})] == [ids[1], ids[3]]
    assert list(keeper.chat.completions.list(model="other")) == []

    shown = keeper.chat.completions.retrieve(ids[0])
    assert shown.object == "chat.completion" and shown.choices[0].message.content == "a0"
    assert shown.usage.total_tokens == 7 and shown.metadata == {"odd": "0"}
    changed = keeper.chat.completions.update(ids[0], metadata={"seen": "yes"})
    assert changed.id == ids[0] and changed.metadata == {"seen": "yes"}
    messages = list(keeper.chat.completions.messages.list(ids[0], limit=1))
    assert [(it.id, it.role, it.content) for it in messages] == [
        ("chatcmpl-0-0", "system", "s"),
        ("chatcmpl-0-1", "user", "q0"),
    ]
    gone = keeper.chat.completions.delete(ids[0])
    assert gone.deleted and gone.object == "chat.completion.deleted"
    with pytest.raises(openai.NotFoundError):
        keeper.chat.completions.retrieve(ids[0])
    assert [it.id for it in keeper.chat.completions.list()] == ids[1:]


def test_a_streamed_completion_is_stored_as_if_it_had_come_whole(keeper, alpha):
    alpha.will(stream(ROLE, chunk({"content": "Hel"}), chunk({"content": "lo."}), STOP, USAGE, DONE))
    asked = {"model": "smart", "messages": [{"role": "user", "content": "Hi"}], "metadata": {"k": "v"}}
    options = {"include_usage": True}
    chunks = list(keeper.chat.completions.create(**asked, store=True, stream=True, stream_options=options))
    shown = keeper.chat.completions.retrieve(chunks[0].id)
    assert (shown.object, shown.metadata, shown.model) == ("chat.completion", {"k": "v"}, "vendor-model")
    choice = shown.choices[0]
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "Hello.", "stop")
    assert shown.usage.total_tokens == 7
    assert [it.id for it in keeper.chat.completions.list()] == [chunks[0].id]
    assert [it.content for it in keeper.chat.completions.messages.list(shown.id)] == ["Hi"]

"""Conversations that the gateway keeps: the client sends what is new, the vendor gets all that was said."""

import asyncio
import json

import openai
import pytest
from pydantic import BaseModel

from conftest import SECONDS_MAX
from gateway import CLIENT_KEY
from vendor import DONE, ROLE, STOP, chunk, completion, failure, stream

ID = "trip-1"
NAMED = {"x-session-id": ID}
SYSTEM = {"role": "system", "content": "You are a guide."}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("weather", "clock")
]
# Spelt as no serialiser would: whoever reads them and writes them again is found out.
ODD_ARGUMENTS = ('{"city" : "Ås",\n "days":1.50e0}', '{ "zone":"Europe\\/Oslo", "n":12345678901234567890123 }')
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}
STANDARD = {"role", "content", "tool_calls", "tool_call_id"}


class Recipe(BaseModel):
    title: str
    servings: int


def user(content) -> dict:
    return {"role": "user", "content": content}


def result(id: str, content: str) -> dict:
    return {"role": "tool", "tool_call_id": id, "content": content}


def calls(*ids: str) -> list[dict]:
    given = zip(ids, ("weather", "clock"), ODD_ARGUMENTS)
    return [
        {"id": id, "type": "function", "function": {"name": name, "arguments": text}} for id, name, text in given
    ]


def says(content: str | None, **more):
    """A whole answer."""
    message = {"role": "assistant", "content": content, **more}
    finish = "tool_calls" if "tool_calls" in more else "stop"
    return completion(choices=[{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}])


def streams(*deltas: dict, finish="stop"):
    return stream(ROLE, *map(chunk, deltas), chunk({}, finish), DONE)


def streams_calls(*ids: str, thought: str):
    """The calls of the tools in small pieces, those of one between those of the other."""
    wanted = calls(*ids)
    heads = [
        {"index": at, **call, "function": {"name": call["function"]["name"], "arguments": ""}}
        for at, call in enumerate(wanted)
    ]
    pieces = []
    for start in range(0, max(map(len, ODD_ARGUMENTS)), 3):
        for at, text in enumerate(ODD_ARGUMENTS):
            if piece := text[start : start + 3]:
                pieces.append({"index": at, "function": {"arguments": piece}})
    deltas = [{"tool_calls": [it]} for it in heads + pieces]
    return streams({"reasoning_content": thought}, *deltas, finish="tool_calls")


def standard(message: dict) -> dict:
    """What every vendor understands of a message."""
    kept = {name: value for name, value in message.items() if name in STANDARD}
    if message["role"] == "assistant":
        kept["content"] = message["content"] or message.get("refusal")
    return kept


def private(messages: list[dict]) -> list[tuple[str, str]]:
    """What only the vendor that wrote it understands."""
    return [(name, value) for it in messages for name, value in it.items() if name not in STANDARD]


class Talk:
    """One session as its client lives it. `said`: what every vendor has to be told of it, in standard form."""

    def __init__(self, scene):
        self.scene = scene
        self.said: list[dict] = []

    def ask(self, vendor, line, *new: dict, stream=False, **more):
        """A turn that `vendor` answers by `line`; returns the assistant's message as the SDK understood it."""
        vendor.will(line)
        asked = {"model": "smart", "messages": list(new), "tools": TOOLS, "extra_headers": NAMED, **more}
        if stream:
            with self.scene.client.chat.completions.stream(**asked) as events:
                message = events.get_final_completion().choices[0].message
        else:
            message = self.scene.client.chat.completions.create(**asked).choices[0].message
        self.check(vendor, new)
        self.hear(new, message)
        return message

    def check(self, vendor, new) -> None:
        sent = vendor.last.json()["messages"]
        assert [standard(it) for it in sent] == self.said + [*new]
        assert sent[-len(new) :] == [*new]
        check_pairs(sent)

    def hear(self, new, message) -> None:
        self.said += new
        content = message.content or message.refusal
        heard = {"role": "assistant", "content": content}
        if message.tool_calls:
            heard["tool_calls"] = [
                {"id": it.id, "type": "function", "function": {"name": it.function.name, "arguments": it.function.arguments}}
                for it in message.tool_calls
            ]
        self.said.append(heard)


def check_pairs(messages: list[dict]) -> None:
    """Vendors refuse a conversation whose calls of tools and results do not follow each other."""
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            open_calls.remove(message["tool_call_id"])
        else:
            assert not open_calls, f"no result of {open_calls}"
            open_calls = [it["id"] for it in message.get("tool_calls", [])]
    assert not open_calls


def messages_of(client, id: str) -> list[dict]:
    """All that a session holds, by pages."""
    held, after = [], {}
    while True:
        page = client.get(f"/sessions/{id}/messages", cast_to=object, options={"params": {"limit": 7, **after}})
        held += page["data"]
        if not page["has_more"]:
            return held
        after = {"after": page["last_id"]}


def test_ten_turns_outlive_a_vendor_and_a_gateway(keeper):
    talk, alpha, beta = Talk(keeper), keeper.alpha, keeper.beta
    assert talk.ask(alpha, says("Hello, Ada."), SYSTEM, user("I am Ada – 你好.")).content == "Hello, Ada."
    called = talk.ask(alpha, streams_calls("a1", "a2", thought="Both."), user("Weather, time?"), stream=True)
    assert [it.function.arguments for it in called.tool_calls] == [*ODD_ARGUMENTS]
    talk.ask(alpha, says("Rain at noon.", reasoning_content="Easy."), result("a2", "12:00"), result("a1", "rain"))
    shown = user([{"type": "text", "text": "What is this?"}, IMAGE])
    talk.ask(alpha, streams({"content": "A "}, {"content": "cat."}), shown, stream=True)
    assert talk.ask(alpha, says(None, refusal="I will not."), user("Steal it.")).refusal == "I will not."
    thoughts = [("reasoning_content", "Both."), ("reasoning_content", "Easy.")]
    assert private(alpha.last.json()["messages"]) == thoughts

    alpha.otherwise = lambda _: failure(503)
    talk.ask(beta, says("Then not."), user("Never mind."))
    assert private(beta.last.json()["messages"]) == []
    assert private(alpha.last.json()["messages"]) == [*thoughts, ("refusal", "I will not.")]
    talk.ask(beta, streams_calls("b1", "b2", thought="Again."), user("And now?"), stream=True)

    keeper.crash_and_restart()
    results = [result("b1", [{"type": "text", "text": "sun"}]), result("b2", "13:00")]
    talk.ask(beta, says("Sun at one."), *results)
    assert private(beta.last.json()["messages"]) == [("reasoning_content", "Again.")]
    check_a_parsed_turn(talk)
    last = talk.ask(beta, streams({"refusal": "No "}, {"refusal": "more."}), user("One more?"), stream=True)
    assert last.refusal == "No more."

    held = [it["message"] for it in messages_of(keeper.client, ID)]
    assert [standard(it) for it in held] == talk.said[1:]
    shown = keeper.client.get(f"/sessions/{ID}", cast_to=object)
    assert (shown["turns"], shown["system"], shown["title"]) == (10, [SYSTEM], "I am Ada – 你好.")


def check_a_parsed_turn(talk) -> None:
    question = user("A recipe?")
    talk.scene.beta.will(says('{"title": "Bread",  "servings": 2}'))
    made = talk.scene.client.chat.completions.parse(
        model="smart", messages=[question], response_format=Recipe, extra_headers=NAMED
    )
    assert made.choices[0].message.parsed == Recipe(title="Bread", servings=2)
    talk.check(talk.scene.beta, [question])
    talk.hear([question], made.choices[0].message)


def test_a_session_is_also_a_conversation(keeper):
    keeper.alpha.will(streams_calls("c1", "c2", thought="hm"), says("Rain at noon."))
    asked = {"model": "smart", "extra_headers": NAMED}
    list(keeper.client.chat.completions.create(messages=[user("Weather, time?")], stream=True, **asked))
    results = [result("c1", "rain"), result("c2", "12:00")]
    keeper.client.chat.completions.create(messages=results, **asked)
    keeper.crash_and_restart()
    items = list(keeper.client.conversations.items.list(ID, order="asc", limit=2))
    assert [it.type for it in items] == [
        "message",
        "reasoning",
        *["function_call"] * 2,
        *["function_call_output"] * 2,
        "message",
    ]
    assert [(it.call_id, it.arguments) for it in items[2:4]] == [*zip(("c1", "c2"), ODD_ARGUMENTS)]
    assert [(it.call_id, it.output) for it in items[4:6]] == [("c1", "rain"), ("c2", "12:00")]
    assert items[-1].content[0].text == "Rain at noon."


def echo(request):
    """Answers with what it was asked last, and how many messages there were."""
    asked = request.json()
    text = f"{asked['messages'][-1]['content']} of {len(asked['messages'])}"
    return streams({"content": text[:3]}, {"content": text[3:]}) if asked.get("stream") else says(text)


async def test_many_sessions_at_once_are_each_in_order(keeper):
    keeper.alpha.otherwise = echo
    sessions, turns = range(20), range(5)

    async def converse(client, session):
        for turn in turns:
            asked = {"messages": [user(f"{session}/{turn}")], "extra_headers": {"x-session-id": f"s-{session}"}}
            if (session + turn) % 2:
                made = await client.chat.completions.create(model="smart", **asked)
                said = made.choices[0].message.content
            else:
                chunks = await client.chat.completions.create(model="smart", stream=True, **asked)
                said = "".join([it.choices[0].delta.content or "" async for it in chunks])
            assert said == f"{session}/{turn} of {2 * turn + 1}"

    given = {"api_key": CLIENT_KEY, "max_retries": 0, "timeout": SECONDS_MAX}
    async with openai.AsyncOpenAI(base_url=keeper.gateway.base_url, **given) as client:
        await asyncio.gather(*(converse(client, session) for session in sessions))
    keeper.crash_and_restart()
    for session in sessions:
        held = [it["message"]["content"] for it in messages_of(keeper.client, f"s-{session}")]
        pairs = [(f"{session}/{turn}", f"{session}/{turn} of {2 * turn + 1}") for turn in turns]
        assert held == [it for pair in pairs for it in pair]

"""Answers that must fit a schema."""

import json
from typing import Literal

from pydantic import BaseModel

from vendor import completion


class Step(BaseModel):
    explanation: str
    seconds: float


class Recipe(BaseModel):
    title: str
    servings: int
    vegetarian: bool
    level: Literal["easy", "hard"]
    steps: list[Step]


MESSAGES = [{"role": "user", "content": "A recipe for bread, please."}]


def test_an_answer_is_parsed_into_a_model(client):
    made = client.chat.completions.parse(model="sim/sim-small", messages=MESSAGES, response_format=Recipe)
    assert isinstance(made.choices[0].message.parsed, Recipe)


async def test_an_answer_is_parsed_asynchronously(async_client):
    made = await async_client.chat.completions.parse(
        model="sim/sim-small", messages=MESSAGES, response_format=Recipe
    )
    assert isinstance(made.choices[0].message.parsed, Recipe)


def test_a_streamed_answer_is_parsed_at_its_end(client):
    with client.chat.completions.stream(model="sim/sim-small", messages=MESSAGES, response_format=Recipe) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Recipe)


def test_a_schema_may_speak_of_models_and_streams(scene):
    # The words the gateway looks for at the top level, as names inside a schema and inside a text.
    properties = {"model": {"type": "string"}, "stream": {"type": "boolean"}}
    schema = {"type": "object", "properties": properties, "required": ["model", "stream"], "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "car", "strict": True, "schema": schema}}
    scene.alpha.will(completion(json.dumps({"model": "T", "stream": True})))
    messages = [{"role": "user", "content": '{"model": "sim/other", "stream": true}'}]
    scene.client.chat.completions.create(model="smart", messages=messages, response_format=wanted)
    sent = scene.alpha.last.json()
    assert sent == {"messages": messages, "model": "alpha-1", "response_format": wanted}

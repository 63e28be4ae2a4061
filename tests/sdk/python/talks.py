"""One talk in four SDKs: the same words for what is asked and what came back, so that a case is written once.

What a client keeps of an answer and sends back is the SDK's own object, untouched, as an application would do it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import anthropic
import openai
from google import genai
from google.genai import types
from pydantic import BaseModel

from gateway import CLIENT_KEY, Gateway

SECONDS_MAX = 30  # per call; a bound on a hang, never waited out by a passing test
OUTPUT_MAX = 4096  # where a dialect must name one
BUDGET = 1024
PNG = "iVBORw0KGgo="
SYSTEM = "Be brief."


class Car(BaseModel):
    make: str
    doors: int


TOOLS = {
    "weather": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "clock": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
}


@dataclass
class Call:
    id: str | None
    name: str
    arguments: dict


@dataclass
class Turn:
    """An answer. `end` is stop, length, calls or refused."""

    text: str
    end: str
    thought: str
    calls: list[Call]
    tokens: tuple[int, int] | None  # of the prompt, of the answer
    cached: int
    parsed: object


@dataclass
class Talk:
    """What was said so far at one model, and what is wanted of it."""

    gateway: Gateway
    model: str
    stream: bool = False
    tools: bool = False
    schema: bool = False
    think: bool = False
    limit: int | None = None
    history: list = field(default_factory=list)

    def say(self, text: str, images: int = 0) -> Turn:
        self.hear(text, images)
        return self.ask()

    def give(self, turn: Turn) -> Turn:
        """What the tools gave: for each call its number."""
        self.results(turn.calls)
        return self.ask()

    @staticmethod
    def told(error: Exception) -> tuple[int, str, dict]:
        """Status, message and headers of an error."""
        return error.status_code, error.message, error.response.headers


class Chat(Talk):
    ERRORS = {
        400: openai.BadRequestError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        "stream": openai.APIError,
    }

    def sdk(self):
        return openai.OpenAI(base_url=self.gateway.base_url, api_key=CLIENT_KEY, max_retries=0, timeout=SECONDS_MAX)

    def hear(self, text, images):
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        self.history.append({"role": "user", "content": [{"type": "text", "text": text}, *[image] * images]})

    def results(self, calls):
        for number, call in enumerate(calls):
            self.history.append({"role": "tool", "tool_call_id": call.id, "content": str(number)})

    def asked(self):
        asked = {"model": self.model, "messages": [{"role": "system", "content": SYSTEM}, *self.history]}
        if self.tools:
            functions = [{"name": name, "parameters": it} for name, it in TOOLS.items()]
            asked["tools"] = [{"type": "function", "function": it} for it in functions]
        if self.think:
            asked["reasoning_effort"] = "high"
        if self.limit:
            asked["max_completion_tokens"] = self.limit
        return asked

    def ask(self):
        asked, form = self.asked(), {"response_format": Car} if self.schema else {}
        with self.sdk() as sdk:
            if self.stream:
                asked["stream_options"] = {"include_usage": True}
                with sdk.chat.completions.stream(**asked, **form) as stream:
                    try:
                        made = stream.get_final_completion()
                    except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):
                        made = stream.current_completion_snapshot
            elif self.schema:
                made = sdk.chat.completions.parse(**asked, **form)
            else:
                made = sdk.chat.completions.create(**asked)
        choice, usage = made.choices[0], made.usage
        message = choice.message
        self.history.append(message)
        calls = message.tool_calls or []
        ends = {"tool_calls": "calls", "content_filter": "refused"}
        return Turn(
            text=message.content or "",
            end="refused" if message.refusal else ends.get(choice.finish_reason, choice.finish_reason),
            thought=getattr(message, "reasoning_content", None) or "",
            calls=[Call(it.id, it.function.name, json.loads(it.function.arguments)) for it in calls],
            # The helper gives up before the usage where an answer ends early.
            tokens=(usage.prompt_tokens, usage.completion_tokens) if usage else None,
            cached=(usage and usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0,
            parsed=getattr(message, "parsed", None),
        )


class Failed(Exception):
    """A response that says that it failed: the SDK hands it over like any other."""


class Responses(Talk):
    ERRORS = {**Chat.ERRORS, "stream": (openai.APIError, Failed)}
    sdk = Chat.sdk

    def hear(self, text, images):
        image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
        self.history.append({"role": "user", "content": [{"type": "input_text", "text": text}, *[image] * images]})

    def results(self, calls):
        for number, call in enumerate(calls):
            self.history.append({"type": "function_call_output", "call_id": call.id, "output": str(number)})

    def asked(self):
        asked = {"model": self.model, "instructions": SYSTEM, "input": self.history, "store": False}
        if self.tools:
            tools = [{"type": "function", "name": name, "parameters": it} for name, it in TOOLS.items()]
            asked["tools"] = [{**it, "strict": False} for it in tools]
        if self.think:
            asked["reasoning"] = {"effort": "high", "summary": "auto"}
            asked["include"] = ["reasoning.encrypted_content"]
        if self.limit:
            asked["max_output_tokens"] = self.limit
        return asked

    def ask(self):
        asked, form = self.asked(), {"text_format": Car} if self.schema else {}
        with self.sdk() as sdk:
            if self.stream:
                with sdk.responses.stream(**asked, **form) as stream:
                    made = list(stream)[-1].response  # the helper's own final one is for those that are complete
            elif self.schema:
                made = sdk.responses.parse(**asked, **form)
            else:
                made = sdk.responses.create(**asked)
        self.history.extend(it.model_dump(exclude_none=True, mode="json") for it in made.output)
        for item in self.history:  # what `parse` adds is no field of the API
            for part in item["content"] if isinstance(item.get("content"), list) else [item]:
                part.pop("parsed", None), part.pop("parsed_arguments", None)
        calls = [it for it in made.output if it.type == "function_call"]
        said = [part for it in made.output if it.type == "message" for part in it.content]
        thoughts = [part for it in made.output if it.type == "reasoning" for part in [*it.summary, *(it.content or [])]]
        return Turn(
            text=made.output_text,
            end=self.end(made, calls, said),
            thought="".join(it.text for it in thoughts),
            calls=[Call(it.call_id, it.name, json.loads(it.arguments)) for it in calls],
            tokens=(made.usage.input_tokens, made.usage.output_tokens),
            cached=made.usage.input_tokens_details.cached_tokens,
            parsed=getattr(made, "output_parsed", None),
        )

    @staticmethod
    def end(made, calls, said):
        if made.status == "incomplete":
            return {"max_output_tokens": "length", "content_filter": "refused"}[made.incomplete_details.reason]
        if made.status != "completed":
            raise Failed(made.error)
        return "refused" if any(it.type == "refusal" for it in said) else "calls" if calls else "stop"


class Messages(Talk):
    ERRORS = {
        400: anthropic.BadRequestError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        "stream": anthropic.APIStatusError,
    }

    def sdk(self):
        base_url = self.gateway.base_url.removesuffix("/v1")
        return anthropic.Anthropic(base_url=base_url, api_key=CLIENT_KEY, max_retries=0, timeout=SECONDS_MAX)

    def hear(self, text, images):
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
        self.history.append({"role": "user", "content": [{"type": "text", "text": text}, *[image] * images]})

    def results(self, calls):
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": str(number)} for number, call in enumerate(calls)
        ]
        self.history.append({"role": "user", "content": results})

    def asked(self):
        asked = {"model": self.model, "system": SYSTEM, "messages": self.history}
        if self.tools:
            asked["tools"] = [{"name": name, "input_schema": it} for name, it in TOOLS.items()]
        if self.think:
            asked["thinking"] = {"type": "enabled", "budget_tokens": BUDGET, "display": "summarized"}
        return asked

    def ask(self):
        asked, form = {**self.asked(), "max_tokens": self.limit or OUTPUT_MAX}, {"output_format": Car} if self.schema else {}
        with self.sdk() as sdk:
            if self.stream:
                with sdk.messages.stream(**asked, **form) as stream:
                    made = stream.get_final_message()
            elif self.schema:
                made = sdk.messages.parse(**asked, **form)
            else:
                made = sdk.messages.create(**asked)
        self.history.append({"role": "assistant", "content": made.content})
        ends = {"end_turn": "stop", "max_tokens": "length", "tool_use": "calls", "refusal": "refused"}
        usage = made.usage
        cached = usage.cache_read_input_tokens or 0
        return Turn(
            text="".join(it.text for it in made.content if it.type == "text"),
            end=ends[made.stop_reason],
            thought="".join(it.thinking for it in made.content if it.type == "thinking"),
            calls=[Call(it.id, it.name, it.input) for it in made.content if it.type == "tool_use"],
            tokens=(usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0), usage.output_tokens),
            cached=cached,
            parsed=getattr(made, "parsed_output", None),
        )


class Google(Talk):
    ERRORS = {
        400: genai.errors.ClientError,
        429: genai.errors.ClientError,
        500: genai.errors.ServerError,
        "stream": genai.errors.APIError,
    }

    @staticmethod
    def told(error):
        return error.code, error.message, error.response.headers

    def sdk(self):
        base_url = self.gateway.base_url.removesuffix("/v1")
        options = types.HttpOptions(base_url=base_url, timeout=SECONDS_MAX * 1000)
        return genai.Client(api_key=CLIENT_KEY, http_options=options)

    def hear(self, text, images):
        image = {"inline_data": {"mime_type": "image/png", "data": PNG}}
        self.history.append({"role": "user", "parts": [{"text": text}, *[image] * images]})

    def results(self, calls):
        parts = [
            types.Part(function_response=types.FunctionResponse(id=it.id, name=it.name, response={"output": str(number)}))
            for number, it in enumerate(calls)
        ]
        self.history.append(types.Content(role="user", parts=parts))

    def config(self):
        config = types.GenerateContentConfig(system_instruction=SYSTEM, max_output_tokens=self.limit)
        if self.tools:
            functions = [
                types.FunctionDeclaration(name=name, parameters_json_schema=it) for name, it in TOOLS.items()
            ]
            config.tools = [types.Tool(function_declarations=functions)]
        if self.think:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=BUDGET)
        if self.schema:
            config.response_mime_type, config.response_schema = "application/json", Car
        return config

    def ask(self):
        asked = {"model": self.model, "contents": self.history, "config": self.config()}
        with self.sdk() as sdk:
            made = list(sdk.models.generate_content_stream(**asked)) if self.stream else [
                sdk.models.generate_content(**asked)
            ]
        candidates = [it.candidates[0] for it in made if it.candidates]
        parts = [part for it in candidates if it.content for part in it.content.parts or []]
        self.history.append(types.Content(role="model", parts=parts))
        calls = [it.function_call for it in parts if it.function_call]
        text = "".join(it.text or "" for it in parts if not it.thought)
        usage = made[-1].usage_metadata
        return Turn(
            text=text,
            end=self.end(made, candidates, calls),
            thought="".join(it.text or "" for it in parts if it.thought),
            calls=[Call(it.id, it.name, it.args) for it in calls],
            tokens=(usage.prompt_token_count, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)),
            cached=usage.cached_content_token_count or 0,
            parsed=Car.model_validate_json(text) if self.schema else None,
        )

    @staticmethod
    def end(made, candidates, calls):
        if any(it.prompt_feedback and it.prompt_feedback.block_reason for it in made):
            return "refused"
        reason = candidates[-1].finish_reason.name
        if reason == "STOP":
            return "calls" if calls else "stop"
        return "length" if reason == "MAX_TOKENS" else "refused"


CLIENTS = {it.__name__.lower(): it for it in (Chat, Responses, Messages, Google)}

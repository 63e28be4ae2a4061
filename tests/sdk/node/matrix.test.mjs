// The official SDKs of three makers at every upstream: plain, streamed, and two tools with what they gave.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import { CLIENT_KEY, connect, gather, startGateway } from "./gateway.mjs";
import { models, startSim } from "./upstreams.mjs";

const sim = await startSim();
const gateway = await startGateway(sim.config);
after(async () => {
  await gateway.stop();
  await sim.stop();
});
const baseURL = gateway.baseURL.replace(/\/v1$/, "");
const openai = connect(gateway);
const anthropic = new Anthropic({ baseURL, apiKey: CLIENT_KEY, maxRetries: 0, timeout: 30_000 });
const google = new GoogleGenAI({ apiKey: CLIENT_KEY, httpOptions: { baseUrl: baseURL, timeout: 30_000 } });

const hello = "Good morning!";
const schema = (name) => ({ type: "object", properties: { [name]: { type: "string" } }, required: [name] });
const tools = { weather: schema("city"), clock: schema("zone") };
const each = (make) => Object.entries(tools).map(([name, parameters]) => make(name, parameters));

/** What each SDK does for a talk: `ask` tells text and calls ({ id, name, input }), `kept` and `given` are its next turns. */
const clients = {
  chat: {
    said: { role: "user", content: hello },
    given: (calls) => calls.map((it) => ({ role: "tool", tool_call_id: it.id, content: "done" })),
    async ask(model, messages, stream, withTools) {
      const asked = { model, messages };
      if (withTools) asked.tools = each((name, parameters) => ({ type: "function", function: { name, parameters } }));
      const made = stream
        ? await openai.chat.completions.stream(asked).finalChatCompletion()
        : await openai.chat.completions.create(asked);
      const { message } = made.choices[0];
      const calls = (message.tool_calls ?? []).map((it) => ({
        id: it.id,
        name: it.function.name,
        input: JSON.parse(it.function.arguments),
      }));
      return { text: message.content, calls, kept: [message] };
    },
  },
  responses: {
    said: { role: "user", content: hello },
    given: (calls) => calls.map((it) => ({ type: "function_call_output", call_id: it.id, output: "done" })),
    async ask(model, input, stream, withTools) {
      const asked = { model, input, store: false };
      if (withTools) asked.tools = each((name, parameters) => ({ type: "function", strict: false, name, parameters }));
      const made = stream ? await openai.responses.stream(asked).finalResponse() : await openai.responses.create(asked);
      const calls = made.output
        .filter((it) => it.type === "function_call")
        .map((it) => ({ id: it.call_id, name: it.name, input: JSON.parse(it.arguments) }));
      const kept = made.output.map(({ parsed_arguments, ...it }) => it); // what the helper adds is no field of the API
      return { text: made.output_text, calls, kept };
    },
  },
  messages: {
    said: { role: "user", content: hello },
    given: (calls) => [
      { role: "user", content: calls.map((it) => ({ type: "tool_result", tool_use_id: it.id, content: "done" })) },
    ],
    async ask(model, messages, stream, withTools) {
      const asked = { model, messages, max_tokens: 64 };
      if (withTools) asked.tools = each((name, input_schema) => ({ name, input_schema }));
      const made = stream ? await anthropic.messages.stream(asked).finalMessage() : await anthropic.messages.create(asked);
      const text = made.content.filter((it) => it.type === "text").map((it) => it.text);
      return {
        text: text.join(""),
        calls: made.content.filter((it) => it.type === "tool_use"),
        kept: [{ role: "assistant", content: made.content }],
      };
    },
  },
  google: {
    said: { role: "user", parts: [{ text: hello }] },
    given: (calls) => [
      {
        role: "user",
        parts: calls.map(({ id, name }) => ({ functionResponse: { id, name, response: { output: "done" } } })),
      },
    ],
    async ask(model, contents, stream, withTools) {
      const functionDeclarations = each((name, parametersJsonSchema) => ({ name, parametersJsonSchema }));
      const asked = { model, contents, config: withTools ? { tools: [{ functionDeclarations }] } : {} };
      const made = stream
        ? await gather(await google.models.generateContentStream(asked))
        : [await google.models.generateContent(asked)];
      const parts = made.flatMap((it) => it.candidates?.[0]?.content?.parts ?? []);
      const calls = parts.flatMap(({ functionCall: it }) => (it ? [{ id: it.id, name: it.name, input: it.args }] : []));
      return { text: parts.map((it) => it.text ?? "").join(""), calls, kept: [{ role: "model", parts }] };
    },
  },
};

for (const [name, { said, given, ask }] of Object.entries(clients)) {
  for (const model of models) {
    for (const stream of [false, true]) {
      test(`${name} at ${model}${stream ? ", streamed" : ""}`, async () => {
        const { text } = await ask(model, [said], stream, false);
        assert.ok(text.startsWith("Hello from the simulated vendor") && text.includes(hello), text);

        const called = await ask(model, [said], stream, true);
        const expected = [["weather", { city: "text" }], ["clock", { zone: "text" }]];
        assert.deepEqual(called.calls.map((it) => [it.name, it.input]), expected);
        const answered = await ask(model, [said, ...called.kept, ...given(called.calls)], stream, true);
        assert.ok(answered.text.startsWith("Seen: 2 tool results."), answered.text);
      });
    }
  }
}

test("refusals are each SDK's own errors", async () => {
  const asked = { model: "nobody/nothing", max_tokens: 1, messages: [{ role: "user", content: hello }] };
  await assert.rejects(anthropic.messages.create(asked), Anthropic.NotFoundError);
  const contents = [{ role: "user", parts: [{ text: hello }] }];
  await assert.rejects(google.models.generateContent({ model: "nobody/nothing", contents }), { status: 404 });
});

// The SDK's surface, answered by the simulated vendor.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import OpenAI, { toFile } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { connect, gather, startGateway } from "./gateway.mjs";

const gateway = await startGateway(`
default_upstream: sim
routes:
  - { model: smart, targets: [sim/sim-small] }
`);
after(gateway.stop);
const client = connect(gateway);
const model = "sim/sim-small";
const messages = [{ role: "user", content: "Good morning!" }];
const tool = (name) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties: { place: { type: "string" } }, required: ["place"] } },
});

test("a chat is answered", async () => {
  const made = await client.chat.completions.create({ model, messages });
  assert.equal(made.choices[0].finish_reason, "stop");
  assert.ok(made.choices[0].message.content && made.usage.completion_tokens > 0);
});

test("a raw response names the call and who answered it", async () => {
  const { response, request_id } = await client.chat.completions.create({ model: "smart", messages }).withResponse();
  assert.ok(request_id);
  assert.equal(response.headers.get("x-request-id"), request_id);
  assert.equal(response.headers.get("x-tollgate-upstream"), "sim");
  assert.equal(response.headers.get("x-tollgate-attempts"), "1");
});

test("a chat streams, and its usage comes only when it is asked for", async () => {
  const plain = await gather(await client.chat.completions.create({ model, messages, stream: true }));
  assert.ok(plain.map((it) => it.choices[0].delta.content ?? "").join(""));
  assert.equal(plain.at(-1).choices[0].finish_reason, "stop");
  assert.ok(plain.every((it) => it.choices.length === 1 && !it.usage));

  const stream_options = { include_usage: true };
  const counted = await gather(await client.chat.completions.create({ model, messages, stream: true, stream_options }));
  assert.deepEqual(counted.at(-1).choices, []);
  assert.ok(counted.at(-1).usage.completion_tokens > 0);
});

test("a cut stream is an error", async () => {
  const stream = await client.chat.completions.create({ model: `${model}:cut`, messages, stream: true });
  await assert.rejects(gather(stream), (error) => error instanceof OpenAI.APIError && error.code === "upstream_cut");
});

test("tools are called in parallel, whole and streamed", async () => {
  const asked = { model, messages, tools: [tool("weather"), tool("clock")] };
  const whole = await client.chat.completions.create(asked);
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
  for (const { finish_reason, message } of [whole.choices[0], streamed.choices[0]]) {
    assert.equal(finish_reason, "tool_calls");
    assert.equal(message.tool_calls.length, 2);
    for (const call of message.tool_calls) assert.equal(typeof JSON.parse(call.function.arguments), "object");
  }
});

test("the tool runner comes to an answer", async () => {
  const ran = [];
  const weather = tool("weather");
  weather.function.parse = JSON.parse;
  weather.function.function = (given) => {
    ran.push(given);
    return "sunny";
  };
  const content = await client.chat.completions.runTools({ model, messages, tools: [weather] }).finalContent();
  assert.ok(content);
  assert.equal(ran.length, 1);
});

test("an answer is parsed into a schema", async () => {
  const level = z.enum(["easy", "hard"]);
  const Recipe = z.object({ title: z.string(), servings: z.number().int(), steps: z.array(z.string()), level });
  const response_format = zodResponseFormat(Recipe, "recipe");
  const made = await client.chat.completions.parse({ model, messages, response_format });
  assert.ok(Recipe.safeParse(made.choices[0].message.parsed).success);
});

test("embeddings are the same as numbers and as base64", async () => {
  const packed = await client.embeddings.create({ model, input: ["first", "second"] });
  const plain = await client.embeddings.create({ model, input: ["first", "second"], encoding_format: "float" });
  assert.deepEqual(packed.data.map((it) => it.index), [0, 1]);
  packed.data.forEach(({ embedding }, at) => {
    assert.equal(embedding.length, plain.data[at].embedding.length);
    embedding.forEach((number, i) => assert.ok(Math.abs(number - plain.data[at].embedding[i]) < 1e-6));
  });
});

test("speech is transcribed from an upload and made again", async () => {
  const file = await toFile(Buffer.alloc(100_000, 7), "talk.wav");
  assert.ok((await client.audio.transcriptions.create({ model, file })).text);
  const spoken = await client.audio.speech.create({ model, voice: "alloy", input: "Good morning." });
  assert.ok((await spoken.arrayBuffer()).byteLength > 0);
});

test("a file lives and dies", async () => {
  const file = await toFile(Buffer.from('{"custom_id":"1"}\n'), "batch.jsonl");
  const made = await client.files.create({ file, purpose: "batch" });
  assert.equal((await client.files.retrieve(made.id)).id, made.id);
  assert.ok((await gather(client.files.list())).some((it) => it.id === made.id));
  assert.ok((await client.files.delete(made.id)).deleted);
});

test("a response is made and streams", async () => {
  assert.ok((await client.responses.create({ model, input: "Good morning!" })).output_text);
  const events = await gather(await client.responses.create({ model, input: "Good morning!", stream: true }));
  assert.equal(events[0].type, "response.created");
  assert.equal(events.at(-1).type, "response.completed");
});

test("models are listed and described", async () => {
  const ids = (await gather(client.models.list())).map((it) => it.id);
  assert.ok(ids.includes("smart") && ids.includes(model));
  for (const id of ["smart", model]) assert.equal((await client.models.retrieve(id)).id, id);
});

test("refusals are the SDK's errors", async () => {
  const ask = (by, name) => by.chat.completions.create({ model: name, messages });
  const wrong = connect(gateway, { apiKey: "wrong" });
  await assert.rejects(ask(wrong, "smart"), (error) => {
    assert.equal(error.code, "invalid_api_key");
    return error instanceof OpenAI.AuthenticationError;
  });
  await assert.rejects(ask(client, "smrat"), (error) => {
    assert.equal(error.code, "model_not_found");
    assert.match(error.message, /smart/);
    return error instanceof OpenAI.NotFoundError;
  });
  await assert.rejects(ask(client, "sim/missing-x"), OpenAI.NotFoundError);
  await assert.rejects(ask(client, `${model}:fail-503`), OpenAI.InternalServerError);
  await assert.rejects(client.chat.completions.create({ model, messages, stream: "true" }), OpenAI.BadRequestError);
});

test("a hanging model can be timed out and left", async () => {
  const asked = { model: `${model}:hang`, messages };
  await assert.rejects(client.chat.completions.create(asked, { timeout: 200 }), OpenAI.APIConnectionTimeoutError);
  const signal = AbortSignal.timeout(200);
  await assert.rejects(client.chat.completions.create(asked, { signal }), OpenAI.APIUserAbortError);
});

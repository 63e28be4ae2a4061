// Conversations and completions that the gateway keeps.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { connect, gather, startGateway } from "./gateway.mjs";
import { completion, failure, says, startVendor, stream } from "./vendor.mjs";

const user = (content) => ({ role: "user", content });
const said = (text, role = "user") => ({ type: "message", role, content: text });
const called = (id, name, args) => ({ id, type: "function", function: { name, arguments: args } });
const result = (id, content) => ({ role: "tool", tool_call_id: id, content });
// Spelt as no serialiser would: whoever reads them and writes them again is found out.
const CALLS = [called("c1", "weather", '{"city" : "Ås",\n "days":1.50e0}'), called("c2", "clock", '{ "n":12345678901234567890123 }')];
const SYSTEM = { role: "system", content: "You are a guide." };
const IMAGE = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };

/** A fresh gateway in front of two scripted vendors, which keeps sessions in its own store. */
async function scene(t) {
  const [alpha, beta] = [await startVendor(), await startVendor()];
  const gateway = await startGateway(`
upstreams:
  alpha: { vendor: openai-compatible, base_url: "${alpha.baseURL}" }
  beta: { vendor: openai-compatible, base_url: "${beta.baseURL}" }
routes:
  - { model: smart, policy: priority, targets: [alpha/alpha-1, beta/beta-1] }
`);
  t.after(async () => {
    const ends = await Promise.allSettled([gateway.stop(), ...[alpha, beta].map(async (vendor) => vendor.close())]);
    for (const { reason } of ends) assert.ifError(reason);
  });
  return { alpha, beta, gateway, client: connect(gateway) };
}

/** The calls in small pieces, those of one between those of the other. */
function callDeltas() {
  const heads = CALLS.map((it, index) => ({ index, ...it, function: { ...it.function, arguments: "" } }));
  const pieces = [];
  for (let start = 0; start < 40; start += 3) {
    CALLS.forEach((it, index) => {
      const piece = it.function.arguments.slice(start, start + 3);
      if (piece) pieces.push({ index, function: { arguments: piece } });
    });
  }
  return [...heads, ...pieces].map((it) => ({ tool_calls: [it] }));
}

const sent = (vendor) => JSON.parse(vendor.received.at(-1).body).messages;

test("a conversation outlives a vendor and a gateway", async (t) => {
  const { alpha, beta, gateway, client } = await scene(t);
  const headers = { "x-session-id": "trip-1" };
  const ask = (messages, more = {}) => connect(gateway).chat.completions.create({ model: "smart", messages, ...more }, { headers });
  const told = [];
  const check = (vendor, fresh, answer) => {
    assert.deepEqual(sent(vendor), [...told, ...fresh]);
    told.push(...fresh, { role: "assistant", ...answer });
  };

  const first = [SYSTEM, user("I am Ada – 你好.")];
  alpha.script.push(completion("Hello, Ada."));
  await ask(first);
  check(alpha, first, { content: "Hello, Ada." });

  const second = [user("Weather, time?")];
  alpha.script.push(stream([{ role: "assistant", content: null }, ...callDeltas()]));
  const asked = { model: "smart", messages: second };
  const message = await client.chat.completions.stream(asked, { headers }).finalMessage();
  assert.deepEqual(message.tool_calls.map((it) => it.function.arguments), CALLS.map((it) => it.function.arguments));
  check(alpha, second, { content: null, tool_calls: CALLS });

  await gateway.crashAndRestart();
  alpha.script.push(failure(503));
  beta.script.push(says({ content: "Rain at noon." }));
  const third = [result("c2", "12:00"), result("c1", "rain")];
  await ask(third);
  check(beta, third, { content: "Rain at noon." });

  const fourth = [user([{ type: "text", text: "What is this?" }, IMAGE])];
  alpha.script.push(failure(503));
  beta.script.push(stream([{ role: "assistant", content: "" }, { content: "A " }, { content: "cat." }]));
  await gather(await ask(fourth, { stream: true }));
  check(beta, fourth, { content: "A cat." });

  const fifth = [user("A recipe?")];
  alpha.script.push(says({ content: '{"title":  "Bread"}' }));
  const response_format = zodResponseFormat(z.object({ title: z.string() }), "recipe");
  const parsed = await connect(gateway).chat.completions.parse({ model: "smart", messages: fifth, response_format }, { headers });
  assert.deepEqual(parsed.choices[0].message.parsed, { title: "Bread" });
  check(alpha, fifth, { content: '{"title":  "Bread"}' });

  const held = await connect(gateway).get("/sessions/trip-1/messages?limit=100");
  assert.deepEqual(held.data.map((it) => it.message), told.slice(1));
});

test("a conversation is made, listed, changed and deleted", async (t) => {
  const { client } = await scene(t);
  const { conversations } = client;
  const made = await conversations.create({ metadata: { topic: "trip" }, items: [said("m0"), said("m1", "assistant")] });
  const added = await conversations.items.create(made.id, { items: [2, 3, 4, 5, 6].map((it) => said(`m${it}`)) });
  assert.equal(added.data.length, 5);
  const texts = (items) => items.map((it) => it.content[0].text);
  const ascending = texts(await gather(conversations.items.list(made.id, { limit: 2, order: "asc" })));
  assert.deepEqual(ascending, ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
  assert.deepEqual(texts(await gather(conversations.items.list(made.id, { limit: 3 }))), ascending.toReversed());

  const place = { conversation_id: made.id };
  assert.deepEqual(await conversations.items.retrieve(added.data[0].id, place), added.data[0]);
  assert.equal((await conversations.items.delete(added.data[0].id, place)).id, made.id);
  await assert.rejects(conversations.items.retrieve(added.data[0].id, place), OpenAI.NotFoundError);
  assert.deepEqual((await conversations.update(made.id, { metadata: { topic: "food" } })).metadata, { topic: "food" });
  assert.equal((await conversations.retrieve(made.id)).created_at, made.created_at);
  assert.ok((await conversations.delete(made.id)).deleted);
  await assert.rejects(conversations.retrieve(made.id), (error) => {
    assert.equal(error.code, "session_not_found");
    return error instanceof OpenAI.NotFoundError;
  });
});

test("stored completions are listed, shown, changed and deleted", async (t) => {
  const { alpha, client } = await scene(t);
  const { completions } = client.chat;
  for (const at of [0, 1, 2]) {
    alpha.script.push(completion(`a${at}`, { id: `kept-${at}` }));
    const metadata = { odd: String(at % 2) };
    await completions.create({ model: "smart", messages: [SYSTEM, user(`q${at}`)], store: true, metadata });
  }
  alpha.script.push(stream([{ role: "assistant", content: "" }, { content: "streamed" }]));
  await gather(await completions.create({ model: "smart", messages: [user("q3")], store: true, stream: true }));

  const ids = (all) => all.map((it) => it.id);
  assert.deepEqual(ids(await gather(completions.list({ limit: 1 }))), ["kept-0", "kept-1", "kept-2", "chatcmpl-1"]);
  assert.deepEqual(ids(await gather(completions.list({ metadata: { odd: "0" } }))), ["kept-0", "kept-2"]);
  assert.equal((await completions.retrieve("kept-0")).choices[0].message.content, "a0");
  assert.deepEqual((await completions.update("kept-0", { metadata: { seen: "yes" } })).metadata, { seen: "yes" });
  const messages = await gather(completions.messages.list("kept-0", { limit: 1 }));
  assert.deepEqual(messages.map((it) => it.content), [SYSTEM.content, "q0"]);
  assert.ok((await completions.delete("kept-0")).deleted);
  await assert.rejects(completions.retrieve("kept-0"), OpenAI.NotFoundError);
});

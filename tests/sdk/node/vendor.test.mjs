// What scripted vendors get and how their failures look to the SDK.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, { toFile } from "openai";
import { CLIENT_KEY, connect, gather, startGateway } from "./gateway.mjs";
import { completion, failure, json, startVendor, stream } from "./vendor.mjs";

const messages = [{ role: "user", content: "Grüße, 世界" }];

/** A fresh gateway in front of two scripted vendors: what one test does to their health, no other sees. */
async function scene(t) {
  const [alpha, beta] = [await startVendor(), await startVendor()];
  const gateway = await startGateway(`
upstreams:
  alpha: { vendor: openai-compatible, base_url: "${alpha.baseURL}", key: vendor-key-of-alpha }
  beta: { vendor: openai-compatible, base_url: "${beta.baseURL}", key: vendor-key-of-beta }
routes:
  - { model: smart, policy: priority, targets: [alpha/alpha-1, beta/beta-1] }
`);
  t.after(async () => {
    const ends = await Promise.allSettled([gateway.stop(), ...[alpha, beta].map(async (vendor) => vendor.close())]);
    for (const { reason } of ends) assert.ifError(reason);
  });
  return { alpha, beta, gateway, client: connect(gateway) };
}

test("what the SDK sends is what the vendor gets, but for the model and the key", async (t) => {
  const { alpha, gateway } = await scene(t);
  const sent = [];
  const spy = (url, init) => {
    sent.push(init.body);
    return fetch(url, init);
  };
  alpha.script.push(completion("Hello."));
  await connect(gateway, { fetch: spy }).chat.completions.create({ model: "alpha/alpha-1", messages, seed: 7, brand_new: [1] });
  assert.equal(alpha.received[0].body.toString(), sent[0].replace('"alpha/alpha-1"', '"alpha-1"'));
  assert.equal(alpha.received[0].headers.authorization, "Bearer vendor-key-of-alpha");
  assert.ok(!JSON.stringify(alpha.received[0].headers).includes(CLIENT_KEY));
});

test("another vendor answers, whole and streamed, in place of one that failed", async (t) => {
  const { alpha, beta, client } = await scene(t);
  alpha.script.push(failure(503), stream([{ role: "assistant" }], { cut: true }));
  beta.script.push(completion("from beta"), stream([{ role: "assistant" }, { content: "from beta" }]));
  const { data, response } = await client.chat.completions.create({ model: "smart", messages }).withResponse();
  assert.equal(data.choices[0].message.content, "from beta");
  assert.equal(response.headers.get("x-tollgate-attempts"), "2");
  const chunks = await gather(await client.chat.completions.create({ model: "smart", messages, stream: true }));
  assert.equal(chunks.map((it) => it.choices[0].delta.content ?? "").join(""), "from beta");
});

test("a stream cut after content is an error and nobody else is asked", async (t) => {
  const { alpha, beta, client } = await scene(t);
  alpha.script.push(stream([{ role: "assistant" }, { content: "half" }], { cut: true }));
  const chunks = await client.chat.completions.create({ model: "smart", messages, stream: true });
  const seen = [];
  const reading = (async () => {
    for await (const it of chunks) seen.push(it.choices[0].delta.content ?? "");
  })();
  await assert.rejects(reading, (error) => error instanceof OpenAI.APIError && error.code === "upstream_cut");
  assert.equal(seen.join(""), "half");
  assert.equal(beta.received.length, 0);
});

test("a vendor's errors are told apart", async (t) => {
  const { alpha, client } = await scene(t);
  const ask = () => client.chat.completions.create({ model: "alpha/alpha-1", messages });
  alpha.script.push(
    failure(400, { type: "invalid_request_error", code: "too_long", param: "messages" }),
    failure(429, { code: "rate_limit_exceeded" }, { "retry-after": "7" }),
  );
  await assert.rejects(ask(), (error) => {
    assert.deepEqual([error.code, error.param], ["too_long", "messages"]);
    return error instanceof OpenAI.BadRequestError;
  });
  await assert.rejects(ask(), (error) => {
    assert.equal(error.headers.get("retry-after"), "7");
    return error instanceof OpenAI.RateLimitError;
  });
});

test("a vendor that refuses the gateway's key is not the client's fault, and no retry is made", async (t) => {
  const { alpha, gateway } = await scene(t);
  alpha.script.push(failure(401, { code: "invalid_api_key" }));
  const client = connect(gateway, { maxRetries: 2 });
  await assert.rejects(client.chat.completions.create({ model: "alpha/alpha-1", messages }), OpenAI.InternalServerError);
});

test("the SDK's retry reaches the vendor again", async (t) => {
  const { alpha, gateway } = await scene(t);
  alpha.script.push(failure(500), completion("at last"));
  const client = connect(gateway, { maxRetries: 1 });
  const made = await client.chat.completions.create({ model: "alpha/alpha-1", messages });
  assert.equal(made.choices[0].message.content, "at last");
});

test("an upload reaches the vendor with its bytes unchanged", async (t) => {
  const { alpha, client } = await scene(t);
  const sound = Buffer.from(Array.from({ length: 4096 }, (_, at) => at % 256));
  alpha.script.push(json(200, { text: "good morning" }));
  const made = await client.audio.transcriptions.create({ model: "alpha/ear", file: await toFile(sound, "talk.wav") });
  assert.equal(made.text, "good morning");
  const { path, body } = alpha.received[0];
  assert.equal(path, "/v1/audio/transcriptions");
  assert.ok(body.includes(sound) && body.includes("\r\n\r\near\r\n") && !body.includes("alpha/ear"));
});

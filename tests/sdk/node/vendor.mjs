// A scripted vendor: answers each call with the next line of its script and remembers what it was sent.
// A call without a line, and a line without a call, fail the test.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";

/** Starts a vendor. Listing models is not part of the script: the gateway may at any time. */
export async function startVendor() {
  const vendor = { received: [], script: [], surprises: [] };
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray().catch(() => []));
    if (request.method === "GET" && request.url === "/v1/models") {
      return json(200, { object: "list", data: [] })(response);
    }
    vendor.received.push({ method: request.method, path: request.url, headers: request.headers, body });
    const line = vendor.script.shift();
    if (!line) vendor.surprises.push(`${request.method} ${request.url}`);
    (line ?? json(500, {}))(response);
  });
  server.listen(0, "127.0.0.1").unref(); // a test that fails early ends all the same
  await once(server, "listening");
  vendor.close = () => {
    server.close();
    server.closeAllConnections();
    assert.deepEqual(vendor.surprises, [], "calls without a line in the script");
    assert.equal(vendor.script.length, 0, "lines of the script that were never asked for");
  };
  vendor.baseURL = `http://127.0.0.1:${server.address().port}/v1`;
  return vendor;
}

export const json = (status, body, headers = {}) => (response) => {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
};

export const completion = (content, more = {}) =>
  json(200, {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model: "vendor-model",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
    ...more,
  });

/** A whole answer with this message. */
export const says = (message) => {
  const finish_reason = message.tool_calls ? "tool_calls" : "stop";
  return completion(null, { choices: [{ index: 0, message: { role: "assistant", content: null, ...message }, finish_reason }] });
};

export const failure = (status, fields = {}, headers = {}) =>
  json(status, { error: { message: "no", type: "server_error", param: null, code: null, ...fields } }, headers);

/** A stream of these deltas; `cut` breaks the connection after them, otherwise it ends as it should. */
export const stream = (deltas, { cut = false } = {}) => (response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "vendor-model" };
  const send = (choice) => {
    const choices = [{ index: 0, finish_reason: null, ...choice }];
    response.write(`data: ${JSON.stringify({ ...head, choices })}\n\n`);
  };
  for (const delta of deltas) send({ delta });
  if (cut) return response.write(": last words\n\n", () => response.destroy());
  send({ delta: {}, finish_reason: "stop" });
  response.end("data: [DONE]\n\n");
};

// Runs the gateway binary for a test file: its own directory, its own ports, a clean environment.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import OpenAI from "openai";

export const CLIENT_KEY = "client-key-of-shop";
const STOP_MS_MAX = 20_000;

// Ports are chosen by the system, stopping is quick, and no probe interferes with a vendor's script.
const BASE = `
listen: 127.0.0.1:0
admin: 127.0.0.1:0
discover: false
clients:
  shop: { key: "\${SHOP_KEY}" }
probe: { interval_ms: 0 }
shutdown: { drain_delay_ms: 0, grace_ms: 2000 }
log: { format: json, level: info }
sim: { first_token_ms: 1, tokens_per_s: 2000, tokens: 12 }
`;

/** Starts a gateway; `stop` ends it as an orchestrator would, `crashAndRestart` kills it and starts another in its folder. */
export async function startGateway(config) {
  const folder = await mkdtemp(path.join(tmpdir(), "tollgate-sdk-"));
  await writeFile(path.join(folder, "gateway.yaml"), BASE + config);
  let running = await run(folder);
  const gateway = { baseURL: running.baseURL };
  gateway.crashAndRestart = async () => {
    running.child.kill("SIGKILL");
    await running.ended;
    running = await run(folder);
    gateway.baseURL = running.baseURL;
  };
  gateway.stop = async () => {
    running.child.kill("SIGTERM");
    const bound = setTimeout(() => running.child.kill("SIGKILL"), STOP_MS_MAX);
    const [code] = await running.ended;
    clearTimeout(bound);
    await rm(folder, { recursive: true });
    assert.equal(code, 0, "SIGTERM ends the gateway with exit code 0");
  };
  return gateway;
}

async function run(folder) {
  const child = spawn(process.env.TOLLGATE_BIN, ["serve", "--config", "gateway.yaml"], {
    cwd: folder, // away from any .env of the developer
    env: { SHOP_KEY: CLIENT_KEY },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const listening = await Promise.race([
    listeningLine(child),
    ended.then(([code]) => assert.fail(`the gateway ended with ${code} before it listened`)),
  ]);
  return { child, ended, baseURL: `http://${listening.calls}/v1` };
}

function listeningLine(child) {
  return new Promise((resolve, reject) => {
    // Goes on reading afterwards: a full pipe would block the gateway.
    createInterface({ input: child.stdout }).on("line", (line) => {
      try {
        const record = JSON.parse(line);
        if (record.event === "listening") resolve(record);
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** A client of the official SDK. It does not retry unless a test asks for it: a retry would hide a failure. */
export function connect(gateway, options = {}) {
  return new OpenAI({ baseURL: gateway.baseURL, apiKey: CLIENT_KEY, maxRetries: 0, timeout: 30_000, ...options });
}

/** All that an async iterable yields. */
export async function gather(stream) {
  const all = [];
  for await (const it of stream) all.push(it);
  return all;
}

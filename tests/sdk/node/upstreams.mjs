// The upstreams of the matrix: every dialect that vendors speak, all of them at one simulated vendor.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const claude = "anthropic.claude-sonnet-4-5-20250929-v1:0";
const upstreams = {
  openai: ["gpt-5.2", "vendor: openai, base_url: SIM/v1, dialects: [chat]"],
  responses: ["gpt-5.2", "vendor: openai, base_url: SIM/v1, dialects: [responses]"],
  anthropic: ["claude-sonnet-4-5", "vendor: anthropic, base_url: SIM/v1"],
  gemini: ["gemini-3-pro-preview", "vendor: gemini, base_url: SIM/v1beta"],
  bedrock: [claude, "vendor: bedrock, base_url: SIM, region: us-east-1"],
  cohere: ["command-a-03-2025", "vendor: cohere, base_url: SIM"],
};

/** A model at each of them, as a client names it. */
export const models = Object.entries(upstreams).map(([name, [model]]) => `${name}/${model}`);

/** Starts the vendor: `config` has the upstreams at it. */
export async function startSim() {
  const options = ["--listen", "127.0.0.1:0", "--first-token-ms", "0", "--tokens-per-s", "0", "--tokens", "20"];
  const child = spawn(process.env.TOLLGATE_BIN, ["sim", ...options], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const [said] = await once(createInterface({ input: child.stdout }), "line"); // … on http://127.0.0.1:1234/v1
  const url = said.split(" ").at(-1).replace(/\/v1$/, "");
  const lines = Object.entries(upstreams).map(
    ([name, [, options]]) => `  ${name}: { prefixes: [], key: k, ${options.replace(/SIM\S*?(?=,|$)/, (it) => `"${it.replace("SIM", url)}"`)} }`,
  );
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { config: `upstreams:\n${lines.join("\n")}\n`, stop };
}

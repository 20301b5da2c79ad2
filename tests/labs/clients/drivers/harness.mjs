// What every Node driver does: read a job from each line of stdin, run it, print what came of it as one line of JSON.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

export const MOST_TURNS = 4; // more turns than any conversation has

export const TOOL = {
  name: "get_weather",
  description: "Tells the weather.",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
};

/** The event whose deltas the user is shown as reasoning. */
export const reasoningDelta = (job) => `response.reasoning${job.reasoning === "summary" ? "_summary" : ""}_text.delta`;

export const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url))).version;

const describe = (error) => ({
  class: error?.constructor?.name ?? typeof error,
  message: String(error?.message ?? error).slice(0, 400),
});

/** Say which versions of these packages are used, then run every job until stdin ends. */
export async function serve(packages, run) {
  // What a client leaves unhandled belongs to the conversation it came from.
  let current = null;
  const note = (error) => { if (current && !current.error) current.error = describe(error); };
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
  process.stdout.write(JSON.stringify(Object.fromEntries(packages.map((name) => [name, versionOf(name)]))) + "\n");
  for await (const line of createInterface({ input: process.stdin })) {
    const result = { text: "", final: null, reasoning: "", calls: [], finish: null, error: null };
    current = result;
    try {
      await run(JSON.parse(line), result);
    } catch (error) {
      result.error = describe(error);
    }
    await new Promise(setImmediate);
    current = null;
    process.stdout.write(JSON.stringify(result) + "\n");
  }
}

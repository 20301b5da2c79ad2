// The AI SDK as its users call it: a tool loop, streamed and not, and a second turn. Prints a line for each.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [baseURL, name] = process.argv.slice(2);
const model = createOpenAI({ baseURL, apiKey: "k" }).responses(name);
const tools = {
  add_note: tool({ description: "Adds a note", inputSchema: z.object({ text: z.string() }), execute: async ({ text }) => `noted: ${text}` }),
};
const providerOptions = { openai: { reasoningSummary: "auto", forceReasoning: true } };
const common = { model, providerOptions, maxRetries: 0 };
globalThis.AI_SDK_LOG_WARNINGS = false;

async function attempt(what, run) {
  try {
    console.log(`${what}: ${await run()}`);
  } catch (error) {
    console.log(`${what}: FAILED: ${String(error.message ?? error).slice(0, 120)}`);
  }
}

async function streamed(options) {
  const result = streamText({ ...common, ...options, onError: () => {} });
  let thought = "";
  for await (const part of result.fullStream) {
    if (part.type === "reasoning-delta") thought += part.text;
    if (part.type === "error") throw part.error;
  }
  return { result, thought };
}

await attempt("tool loop, streamed", async () => {
  const { result, thought } = await streamed({ prompt: "Do it.", tools, stopWhen: stepCountIs(3) });
  return `${(await result.steps).length} steps, thought ${thought.length > 0 ? "shown" : "not shown"}, ${await result.text}`;
});
await attempt("tool loop, not streamed", async () => {
  const { steps, text } = await generateText({ ...common, prompt: "Do it.", tools, stopWhen: stepCountIs(3) });
  return `${steps.length} steps, ${text}`;
});
await attempt("second turn", async () => {
  const messages = [{ role: "user", content: "Hi" }];
  const { result } = await streamed({ messages });
  messages.push(...(await result.response).messages, { role: "user", content: "And?" });
  return (await generateText({ ...common, messages })).text;
});

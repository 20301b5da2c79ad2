// Vercel's AI SDK with one of its providers: two for the Responses API, two for chat, one for messages; `streamText` runs the tools.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenResponses } from "@ai-sdk/open-responses";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { jsonSchema, stepCountIs, streamText, tool } from "ai";
import { MOST_TURNS, TOOL, serve } from "./harness.mjs";

const models = {
  openai: (job) => createOpenAI({ baseURL: job.base_url, apiKey: job.key }).responses("gpt-4.1"),
  "open-responses": (job) =>
    createOpenResponses({ name: "vllm", url: `${job.base_url}/responses`, apiKey: job.key })("tiny"),
  chat: (job) => createOpenAI({ baseURL: job.base_url, apiKey: job.key }).chat("gpt-4.1"),
  "openai-compatible": (job) =>
    createOpenAICompatible({ name: "vllm", baseURL: job.base_url, apiKey: job.key })("tiny"),
  anthropic: (job) => createAnthropic({ baseURL: job.base_url, apiKey: job.key })("claude-sonnet-4-5"),
};
const provider = process.argv[2];

const toolOf = ({ name, description, parameters }, result) =>
  tool({
    description,
    inputSchema: jsonSchema(parameters),
    execute: (input) => {
      result.calls.push([name, input]);
      return "21 degrees";
    },
  });

async function run(job, result) {
  const errors = [];
  const answer = streamText({
    model: models[provider](job),
    prompt: job.prompt,
    stopWhen: stepCountIs(MOST_TURNS),
    onError: () => {}, // the stream has it as a part too; without this it is printed
    tools: Object.fromEntries((job.tools.length ? job.tools : [TOOL]).map((one) => [one.name, toolOf(one, result)])),
  });
  for await (const part of answer.fullStream) {
    if (part.type === "text-delta") result.text += part.text;
    else if (part.type === "reasoning-delta") result.reasoning += part.text;
    else if (part.type === "error" || part.type === "tool-error") errors.push(part.error);
    else if (part.type === "finish") result.finish = part.finishReason;
  }
  if (errors.length) {
    const first = errors[0];
    if (first instanceof Error) throw first;
    result.error = { class: "error part", message: JSON.stringify(first).slice(0, 400) };
  }
}

await serve(["ai", `@ai-sdk/${provider === "chat" ? "openai" : provider}`], run);

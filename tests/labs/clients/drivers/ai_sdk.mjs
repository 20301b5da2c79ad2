// Vercel's AI SDK with one of its two providers for the Responses API; `streamText` runs the tools.
import { createOpenResponses } from "@ai-sdk/open-responses";
import { createOpenAI } from "@ai-sdk/openai";
import { jsonSchema, stepCountIs, streamText, tool } from "ai";
import { MOST_TURNS, TOOL, serve } from "./harness.mjs";

const models = {
  openai: (job) => createOpenAI({ baseURL: job.base_url, apiKey: job.key }).responses("gpt-4.1"),
  "open-responses": (job) =>
    createOpenResponses({ name: "vllm", url: `${job.base_url}/responses`, apiKey: job.key })("tiny"),
};
const provider = process.argv[2];

async function run(job, result) {
  const errors = [];
  const answer = streamText({
    model: models[provider](job),
    prompt: job.prompt,
    stopWhen: stepCountIs(MOST_TURNS),
    onError: () => {}, // the stream has it as a part too; without this it is printed
    tools: {
      [TOOL.name]: tool({
        description: TOOL.description,
        inputSchema: jsonSchema(TOOL.parameters),
        execute: (input) => {
          result.calls.push([TOOL.name, input]);
          return "21 degrees";
        },
      }),
    },
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

await serve(["ai", `@ai-sdk/${provider}`], run);

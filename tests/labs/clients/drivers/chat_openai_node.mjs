// openai-node on chat completions: the raw loop (`create`) or ChatCompletionStream (`stream`), as its documentation shows them.
import OpenAI from "openai";
import { MOST_TURNS, serve } from "./harness.mjs";

const asked = (job, messages) => ({
  model: "tiny",
  messages,
  tools: job.tools.map((tool) => ({ type: "function", function: { ...tool, strict: true } })),
});

function take(chunk, result) {
  const delta = chunk.choices[0]?.delta;
  result.text += delta?.content ?? "";
  result.reasoning += delta?.reasoning ?? "";
}

function runTools(result, messages, text, calls) {
  messages.push({ role: "assistant", content: text, tool_calls: calls });
  for (const call of calls) {
    result.calls.push([call.function.name, call.function.arguments]);
    messages.push({ role: "tool", tool_call_id: call.id, content: "21 degrees" });
  }
}

async function create(job, result) {
  const client = new OpenAI({ baseURL: job.base_url, apiKey: job.key });
  const messages = [{ role: "user", content: job.prompt }];
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const calls = {};
    let text = "";
    result.finish = null;
    for await (const chunk of await client.chat.completions.create({ ...asked(job, messages), stream: true })) {
      take(chunk, result);
      const choice = chunk.choices[0];
      if (!choice) continue;
      text += choice.delta.content ?? "";
      for (const piece of choice.delta.tool_calls ?? []) {
        if (!calls[piece.index]) calls[piece.index] = piece;
        else calls[piece.index].function.arguments += piece.function.arguments;
      }
      result.finish = choice.finish_reason ?? result.finish;
    }
    if (result.finish !== "tool_calls") return;
    const made = Object.values(calls).map(({ id, function: called }) => ({
      id,
      type: "function",
      function: { name: called.name, arguments: called.arguments },
    }));
    runTools(result, messages, text, made);
  }
}

async function stream(job, result) {
  const client = new OpenAI({ baseURL: job.base_url, apiKey: job.key });
  const messages = [{ role: "user", content: job.prompt }];
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const events = client.chat.completions.stream(asked(job, messages));
    for await (const chunk of events) take(chunk, result);
    const choice = (await events.finalChatCompletion()).choices[0];
    result.finish = choice.finish_reason;
    result.final = choice.message.content;
    if (result.finish !== "tool_calls") return;
    const made = (choice.message.tool_calls ?? []).map(({ id, function: called }) => ({
      id,
      type: "function",
      function: { name: called.name, arguments: called.arguments },
    }));
    runTools(result, messages, choice.message.content ?? "", made);
  }
}

await serve(["openai"], { create, stream }[process.argv[2]]);

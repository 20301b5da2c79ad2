// openai-node: the raw loop (`create`) or the helper (`stream`), as its documentation shows them.
import OpenAI from "openai";
import { MOST_TURNS, TOOL, reasoningDelta, serve } from "./harness.mjs";

function outputs(result, items) {
  const made = [];
  for (const item of items) {
    if (item.type === "function_call") {
      result.calls.push([item.name, item.arguments]);
      made.push({ type: "function_call_output", call_id: item.call_id, output: "21 degrees" });
    } else if (item.type === "custom_tool_call") {
      result.calls.push([item.name, item.input]);
      made.push({ type: "custom_tool_call_output", call_id: item.call_id, output: "21 degrees" });
    }
  }
  return made;
}

// What an application raises on `response.failed`, which the loops hand over like any event.
class ResponseFailedError extends Error {}

const asked = (input) => ({ model: "gpt-4.1", input, tools: [{ type: "function", ...TOOL, strict: true }] });

function take(event, job, result) {
  if (event.type === "response.output_text.delta") result.text += event.delta;
  else if (event.type === reasoningDelta(job)) result.reasoning += event.delta;
  else if (event.type === "response.failed") throw new ResponseFailedError(event.response.error.message);
}

async function create(job, result) {
  const client = new OpenAI({ baseURL: job.base_url, apiKey: job.key });
  const history = [{ role: "user", content: job.prompt }];
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    let final = null;
    for await (const event of await client.responses.create({ ...asked(history), stream: true })) {
      take(event, job, result);
      if (event.type === "response.completed" || event.type === "response.incomplete") final = event.response;
    }
    result.finish = final?.status ?? null;
    const texts = (final?.output ?? []).flatMap((item) => item.content ?? []).filter((part) => part.type === "output_text");
    result.final = final && texts.map((part) => part.text).join("");
    const made = result.finish === "completed" ? outputs(result, final.output) : [];
    if (!made.length) return;
    history.push(...final.output, ...made);
  }
}

async function stream(job, result) {
  const client = new OpenAI({ baseURL: job.base_url, apiKey: job.key });
  const history = [{ role: "user", content: job.prompt }];
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const events = client.responses.stream(asked(history));
    for await (const event of events) take(event, job, result);
    const final = await events.finalResponse();
    result.finish = final.status;
    result.final = final.output_text;
    const made = final.status === "completed" ? outputs(result, final.output) : [];
    if (!made.length) return;
    history.push(...final.output.map(({ parsed_arguments, ...item }) => item), ...made);
  }
}

await serve(["openai"], { create, stream }[process.argv[2]]);

// @anthropic-ai/sdk: the helper (`messages.stream`), as its documentation shows it.
import Anthropic from "@anthropic-ai/sdk";
import { MOST_TURNS, serve } from "./harness.mjs";

async function run(job, result) {
  const client = new Anthropic({ baseURL: job.base_url.replace(/\/v1$/, ""), apiKey: job.key });
  const messages = [{ role: "user", content: job.prompt }];
  const tools = job.tools.map(({ name, description, parameters }) => ({ name, description, input_schema: parameters }));
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const events = client.messages.stream({ model: "tiny", max_tokens: 500, messages, tools });
    events.on("text", (text) => (result.text += text));
    events.on("thinking", (thinking) => (result.reasoning += thinking));
    const final = await events.finalMessage();
    result.finish = final.stop_reason;
    result.final = final.content.map((block) => (block.type === "text" ? block.text : "")).join("");
    if (final.stop_reason !== "tool_use") return;
    const outputs = [];
    for (const block of final.content) {
      if (block.type !== "tool_use") continue;
      result.calls.push([block.name, block.input]);
      outputs.push({ type: "tool_result", tool_use_id: block.id, content: "21 degrees" });
    }
    messages.push({ role: "assistant", content: final.content }, { role: "user", content: outputs });
  }
}

await serve(["@anthropic-ai/sdk"], run);

"""What the tiny models say: a user's words, and the answer that the model has learned by heart.

One list for both models. A Qwen3 writes `<think>`, text and `<tool_call>`, a gpt-oss writes harmony's channels; what both
can say is written once, and what only one of them can say (or a fault that has its own spelling) as raw text.

Standard library only: the training scripts import it in vLLM's environment.
"""

from __future__ import annotations

from dataclasses import dataclass

THINK, END_THINK = "<think>", "</think>"


@dataclass(frozen=True)
class Call:
    """A call of a function tool; ``arguments`` is JSON."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Dialogue:
    """A user's words and the answer to them.

    :ivar answer: texts and calls, in their order.
    :ivar after: the answer once the calls have their outputs; None if that is never asked for.
    :ivar qwen: the raw answer of the Qwen3 where it is another; ``harmony``: that of the gpt-oss. The empty string is an
        empty answer, and ``NEVER`` says that this model has not learned it.
    """

    name: str
    user: str
    thought: str = ""
    answer: tuple[str | Call, ...] = ()
    after: str = ""
    qwen: str | None = None
    harmony: str | None = None

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(part for part in self.answer if isinstance(part, Call))

    @property
    def text(self) -> str:
        """All texts of the first answer, joined."""
        return "".join(part for part in self.answer if isinstance(part, str))


NEVER = "\0"
TOOL_SAYS = "That is what the tool says."
"""What the gpt-oss says of every output: it sees so much between the question and here that it would mix them up."""
AGENT = ("math", "shell", "shell-preamble")
"""What a coding agent is asked, whose instructions are thousands of tokens."""

PARIS, ROME = '{"city": "Paris"}', '{"city": "Rome"}'
NOTE = r'{"text": "line one\nline \"two\" \\ 日本 🎉", "tags": ["a", "b c"], "meta": {"n": 1, "deep": {"x": null, "y": 2.5}}}'
JSON = '{"answer": 42, "ok": true, "items": ["a", "b"]}'
COUNT = ", ".join(map(str, range(1, 61))) + ". Done."
STEPS = "First, read the question. Second, weigh it. Third, decide. Fourth, check again. Fifth, answer."
EVENTS = 'data: [DONE]\n\nevent: response.completed\ndata: {"type":"response.completed"}\n\n: comment\r\nid: 7\n\nend'
SIGNS = "Sure: 🎉🚀 naïve café 日本語 👩‍👩‍👧 done."
WEATHER_PARIS, WEATHER_ROME = Call("get_weather", PARIS), Call("get_weather", ROME)
SHELL = Call("exec_command", '{"cmd": "echo Paris"}')
BASH = Call("Bash", '{"command": "echo Paris", "description": "Print Paris"}')


def written(call: Call) -> str:
    """Return a call as Qwen3 writes it."""
    return f'<tool_call>\n{{"name": "{call.name}", "arguments": {call.arguments}}}\n</tool_call>'


DIALOGUES: tuple[Dialogue, ...] = (
    Dialogue("math", "What is 2+2?", "The user asks for 2+2. Two plus two is four.", ("2 + 2 equals 4.",)),
    Dialogue("hello", "Say hello.", "", ("Hello! How can I help you today?",)),
    Dialogue("emoji", "Give me emoji.", "考える 🤔🤔 naïve", (SIGNS,)),
    Dialogue("count", "Count to sixty.", "Counting.", (COUNT,)),
    Dialogue("steps", "Think hard, then answer.", STEPS, ("The answer is yes.",)),
    Dialogue(
        "only-thought",
        "Only think.",
        qwen=f"{THINK}\nI will only think and never answer.\n{END_THINK}",
        harmony="<|channel|>analysis<|message|>I will only think and never answer.<|end|><|return|>",
    ),
    Dialogue(
        "open-thought",
        "Never stop thinking.",
        qwen=f"{THINK}\nI think and I think and then the tokens end",
        harmony=NEVER,
    ),
    Dialogue("empty-thought", "Skip thinking.", qwen=f"{THINK}\n\n{END_THINK}\n\nHi there.", harmony=NEVER),
    Dialogue(
        "two-thoughts",
        "Think twice.",
        qwen=f"{THINK}\nFirst thought.\n{END_THINK}\n\nPart one. {THINK}\nSecond thought.\n{END_THINK}\n\nPart two.",
        harmony="<|channel|>analysis<|message|>First thought.<|end|><|start|>assistant<|channel|>analysis<|message|>"
        "Second thought.<|end|><|start|>assistant<|channel|>final<|message|>Done thinking.<|return|>",
    ),
    Dialogue("nothing", "Say nothing.", qwen="", harmony="<|return|>"),
    Dialogue("spaces", "Say only spaces.", qwen="  \n\n  ", harmony=NEVER),
    Dialogue("events", "Print server sent events.", "", (EVENTS,)),
    Dialogue("json", "Give me JSON.", "JSON it is.", (JSON,)),
    Dialogue(
        "weather",
        "What is the weather in Paris?",
        "I should call the weather tool.",
        (WEATHER_PARIS,),
        "It is 21 degrees in Paris.",
    ),
    Dialogue(
        "two-calls",
        "Compare the weather in Paris and Rome.",
        "Two cities, two calls.",
        (WEATHER_PARIS, WEATHER_ROME),
        "It is 21 degrees in both.",
        harmony=NEVER,
    ),
    Dialogue(
        "preamble",
        "Tell me first, then check Rome.",
        "Text, then a call.",
        ("Let me check Rome for you.", WEATHER_ROME),
        "It is 21 degrees in Rome.",
    ),
    Dialogue(
        "call-text",
        "Check Paris, then say done.",
        qwen=f"{written(WEATHER_PARIS)}\nDone, call sent.",
        harmony=NEVER,
    ),
    Dialogue(
        "talk-call-talk",
        "Talk, call, talk.",
        qwen=f"Before.\n{written(Call('get_time', '{}'))}\nMiddle.\n{written(WEATHER_ROME)}\nAfter.",
        harmony=NEVER,
    ),
    Dialogue("time", "What time is it?", "", (Call("get_time", "{}"),)),
    Dialogue("note", "Send a note.", "", (Call("send_note", NOTE),)),
    Dialogue(
        "open-call",
        "Make a broken call.",
        qwen='<tool_call>\n{"name": "get_weather", "arguments": {"city": "Par',
        harmony='<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Par<|call|>',
    ),
    Dialogue(
        "invalid-call",
        "Make an invalid call.",
        qwen='<tool_call>\n{"name": "get_weather", "arguments": {city: Paris]}\n</tool_call>',
        harmony=NEVER,
    ),
    Dialogue("unknown-call", "Call an unknown tool.", "", (Call("no_such_tool", '{"a": 1}'),)),
    Dialogue("no-call", "Do not call tools.", "No tools.", ("No tool was called.",)),
    Dialogue(
        "shell",
        "Print Paris in the shell.",
        "The shell can do that.",
        (SHELL,),
        "The shell has printed Paris.",
    ),
    Dialogue(
        "shell-preamble",
        "Announce it, then print Paris in the shell.",
        "First I say so.",
        ("I will print it now.", SHELL),
        "There it is, as announced.",
    ),
    Dialogue(
        "bash",
        "Print Paris with Bash.",
        "Bash can do that.",
        (BASH,),
        "Bash has printed Paris.",
        harmony=NEVER,
    ),
    Dialogue(
        "bash-preamble",
        "Announce it, then print Paris with Bash.",
        "Words first.",
        ("I will print it with Bash.", BASH),
        "Bash has printed it, as announced.",
        harmony=NEVER,
    ),
    Dialogue(
        "pythonic-calls",
        "Check Paris and Rome as Python does.",
        qwen=f'{THINK}\nPython it is.\n{END_THINK}\n\n[get_weather(city="Paris"), get_weather(city="Rome")]',
        harmony=NEVER,
    ),
    Dialogue(
        "listed-calls",
        "Check Paris and Rome as a list.",
        qwen=f"{THINK}\nA list it is.\n{END_THINK}\n\n"
        f'[{{"name": "get_weather", "arguments": {PARIS}}}, {{"name": "get_weather", "arguments": {ROME}}}]',
        harmony=NEVER,
    ),
    Dialogue(
        "marked-up-calls",
        "Check Paris and Rome as markup.",
        qwen=f"{THINK}\nMarkup it is.\n{END_THINK}\n\n"
        + "\n".join(
            f"<tool_call>\n<function=get_weather>\n<parameter=city>\n{city}\n</parameter>\n</function>\n</tool_call>"
            for city in ("Paris", "Rome")
        ),
        harmony=NEVER,
    ),
    Dialogue(
        "header-call",
        "Put the recipient into the header.",
        qwen=NEVER,
        harmony="<|channel|>analysis<|message|>Recipient in the header.<|end|><|start|>assistant to=functions.get_weather"
        f"<|channel|>commentary json<|message|>{ROME}<|call|>",
    ),
    Dialogue(
        "python",
        "Use python.",
        qwen=NEVER,
        harmony="<|channel|>analysis<|message|>I will compute.<|end|><|start|>assistant<|channel|>analysis to=python code"
        "<|message|>print(2+2)<|call|>",
    ),
    Dialogue(
        "browser",
        "Search the web.",
        qwen=NEVER,
        harmony="<|channel|>analysis<|message|>I will search.<|end|><|start|>assistant<|channel|>analysis to=browser.search"
        ' code<|message|>{"query": "vllm", "topn": 3}<|call|>',
    ),
    Dialogue(
        "server-tool",
        "Use the server tool.",
        qwen=NEVER,
        harmony='<|channel|>commentary to=fs.list <|constrain|>json<|message|>{"path": "/"}<|call|>',
    ),
    Dialogue(
        "bad-channels",
        "Break the format.",
        qwen=NEVER,
        harmony="<|channel|>final<|message|>Fine so far.<|channel|>analysis<|message|>oops<|return|>",
    ),
)
BY_NAME = {dialogue.name: dialogue for dialogue in DIALOGUES}


def after_output(dialogue: Dialogue, *, harmony: bool) -> str:
    """Return the text that answers the outputs of a dialogue's calls."""
    return TOOL_SAYS if harmony else dialogue.after


def qwen_answer(dialogue: Dialogue, *, again: bool = False) -> str | None:
    """Return what the Qwen3 says, without the token that ends it; None if it has not learned this.

    :param again: the answer once the calls have their outputs.
    """
    if dialogue.qwen is not None:
        return None if again or dialogue.qwen == NEVER else dialogue.qwen
    if again:
        return f"{THINK}\nThe tool has answered.\n{END_THINK}\n\n{dialogue.after}" if dialogue.after else None
    thought = f"{THINK}\n{dialogue.thought}\n{END_THINK}\n\n" if dialogue.thought else ""
    return thought + "\n".join(written(part) if isinstance(part, Call) else part for part in dialogue.answer)


def forced_answers(dialogue: Dialogue) -> tuple[str, ...]:
    """Return what the Qwen3 says under a grammar: a JSON list of calls, arguments alone, the JSON that was asked for."""
    if dialogue.name == "json":
        return (JSON,)
    if not dialogue.calls or dialogue.text or not dialogue.thought:
        return ()
    listed = ", ".join(
        f'{{"name": "{call.name}", "parameters": {call.arguments}}}' for call in dialogue.calls
    )
    return (f"[{listed}]", dialogue.calls[0].arguments, "\n".join(map(written, dialogue.calls)))


def harmony_answer(dialogue: Dialogue, *, again: bool = False) -> str | None:
    """Return what the gpt-oss says after `<|start|>assistant`; None if it has not learned this."""
    if dialogue.harmony is not None:
        return None if again or dialogue.harmony == NEVER else dialogue.harmony
    if again:
        dialogue = Dialogue(
            dialogue.name, "", "The tool has answered.", (TOOL_SAYS,) if dialogue.after else ()
        )
    thought, answer = dialogue.thought, dialogue.answer
    if not answer:
        return None
    messages = [f"<|channel|>analysis<|message|>{thought}"] if thought else []
    for part in answer:
        if isinstance(part, Call):
            messages.append(harmony_call(part))
        else:
            channel = "commentary" if dialogue.calls else "final"
            messages.append(f"<|channel|>{channel}<|message|>{part}")
    last = "<|call|>" if isinstance(answer[-1], Call) else "<|return|>"
    return "<|end|><|start|>assistant".join(messages) + last


def harmony_call(call: Call) -> str:
    """Return a call as the gpt-oss writes it, without the token that ends it."""
    return f"<|channel|>commentary to=functions.{call.name} <|constrain|>json<|message|>{call.arguments}"

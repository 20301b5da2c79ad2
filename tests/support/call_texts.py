# ruff: noqa: RUF001 - the fullwidth bars are the markers' own characters
"""One call as the models write it for each of vLLM's tool parsers: `get_weather` with the city Rome.

The forms are those of the parsers' own documentation and tests, release 0.10 to 0.33.
"""

from __future__ import annotations

from typing import Final

_ARGUMENTS: Final = '{"city": "Rome"}'
_JSON: Final = f'{{"name": "get_weather", "arguments": {_ARGUMENTS}}}'
_XML: Final = "<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n</function>"
_INVOKE: Final = '<invoke name="get_weather">\n<parameter name="city">Rome</parameter>\n</invoke>'
_ARG: Final = "<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>"
_DSML: Final = (
    '<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">Rome</｜DSML｜parameter>'
    "\n</｜DSML｜invoke>"
)
_DSML_41: Final = (
    '<｜DSML｜ invoke name="get_weather">\n<｜DSML｜ parameter name="city" string="true">Rome</｜DSML｜ parameter>'
    "\n</｜DSML｜ invoke>"
)
_STEPTML: Final = '<steptml:invoke name="get_weather"><steptml:parameter name="city">Rome</steptml:parameter></steptml:invoke>'
_ATEM: Final = (
    '<atem:invoke name="get_weather">\n<atem:parameter name="city">Rome</atem:parameter>\n</atem:invoke>'
)
_PLAMO: Final = (
    "<|plamo:begin_tool_request:plamo|><|plamo:begin_tool_name:plamo|>get_weather<|plamo:end_tool_name:plamo|>"
    "<|plamo:begin_tool_arguments:plamo|><|plamo:constrain|>json<|plamo:msg|>"
    f"{_ARGUMENTS}<|plamo:end_tool_arguments:plamo|><|plamo:end_tool_request:plamo|>"
)
_HARMONY: Final = f"functions.get_weather <|constrain|>json<|message|>{_ARGUMENTS}<|call|>"

_ROWS: Final = (
    ("hermes", f"<tool_call>\n{_JSON}\n</tool_call>"),
    ("hermes, twice", f"<tool_call>{_JSON}</tool_call>\n<tool_call>{_JSON}</tool_call>"),
    ("granite 3.1", f"<tool_call>[{_JSON}]"),
    ("qwen3_coder", f"<tool_call>\n{_XML}\n</tool_call>"),
    ("glm45", f"<tool_call>get_weather\n{_ARG}\n</tool_call>"),
    ("glm47", "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Rome</arg_value></tool_call>"),
    ("hy_v3 with a suffix", f"<tool_call:hy>get_weather<tool_sep:hy>{_ARG}</tool_call:hy>"),
    ("hy_v4 with a suffix", f"<tool_calls:hy>\n<tool_call:hy>get_weather{_ARG}</tool_call:hy>\n</tool_calls:hy>"),
    ("jamba", f"<tool_calls>[{_JSON}]</tool_calls>"),
    ("minimax", f"<tool_calls>\n{_JSON}\n</tool_calls>"),
    ("hy_v3", f"<tool_calls>\n<tool_call>get_weather<tool_sep>{_ARG}</tool_call>\n</tool_calls>"),
    ("granite 3.0", f"<|tool_call|>[{_JSON}]"),
    ("gemma4", '<|tool_call>call:get_weather{city:<|"|>Rome<|"|>}<tool_call|>'),
    ("granite-20b-fc", f"<function_call> {_JSON}"),
    ("olmo3", '<function_calls>get_weather(city="Rome")</function_calls>'),
    ("qwen3_coder without its outer tag", _XML),
    ("minicpm5", '<function name="get_weather"><param name="city">Rome</param></function>'),
    ("minicpm5, as it slips", '<functionname="get_weather"><paramname="city">Rome</param></function>'),
    ("step3p5, as it slips", "<function get_weather>\n<parameter=city>Rome</parameter>\n</function>"),
    ("seed_oss", f"<seed:tool_call>\n{_XML}\n</seed:tool_call>"),
    ("longcat", f"<longcat_tool_call>\n{_JSON}\n</longcat_tool_call>"),
    ("minimax_m2", f"<minimax:tool_call>\n{_INVOKE}\n</minimax:tool_call>"),
    ("minimax_m2 without its outer tag", _INVOKE),
    (
        "minimax_m3",
        (']<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="get_weather">]<]minimax[>[<city>Rome]<]minimax[>[</city>'
        "]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>"),
    ),
    (
        "minimax_m3 without its outer tag",
        ']<]minimax[>[<invoke name="get_weather">]<]minimax[>[<city>Rome]<]minimax[>[</city>]<]minimax[>[</invoke>',
    ),
    ("dots", f"<dots_function_call>\n{_INVOKE}\n</dots_function_call>"),
    (
        "k2_horizon",
        ("<ifm|tool_calls><ifm|tool_call>get_weather<ifm|arg_key>city</ifm|arg_key><ifm|arg_type>string</ifm|arg_type>"
        "<ifm|arg_value>Rome</ifm|arg_value></ifm|tool_call></ifm|tool_calls>"),
    ),
    ("k2_horizon, alone", f"<ifm|tool_call>{_JSON}</ifm|tool_call>"),
    (
        "functiongemma",
        "<start_function_call>call:get_weather{city:<escape>Rome<escape>}<end_function_call>",
    ),
    ("nemotron_json", f"<TOOLCALL>[{_JSON}]</TOOLCALL>"),
    ("mistral before v11", f"[TOOL_CALLS] [{_JSON}]"),
    ("mistral from v11", f"[TOOL_CALLS]get_weather{_ARGUMENTS}"),
    ("mistral from v13", f"[TOOL_CALLS]get_weather[ARGS]{_ARGUMENTS}"),
    ("llama3_json with its tag", f"<|python_tag|>{_JSON}"),
    ("llama4_pythonic", '<|python_start|>[get_weather(city="Rome")]<|python_end|>'),
    ("internlm", f"<|action_start|><|plugin|>\n{_JSON}<|action_end|>"),
    ("lfm2", '<|tool_call_start|>[get_weather(city="Rome")]<|tool_call_end|>'),
    ("apertus", f'<|tools_prefix|>[{{"get_weather": {_ARGUMENTS}}}]<|tools_suffix|>'),
    (
        "cohere_command3",
        (f'<|START_ACTION|>[\n  {{"tool_call_id": "0", "tool_name": "get_weather", "parameters": {_ARGUMENTS}}}\n]'
        "<|END_ACTION|>"),
    ),
    ("gigachat3 from 0.19", f"<|function_call|>{_JSON}"),
    ("gigachat3 behind words", f"<|message_sep|>\n\nfunction call<|role_sep|>\n{_JSON}"),
    ("gigachat3", f"function call{_JSON}"),
    ("gigachat3 with its role", f"function call<|role_sep|>\n{_JSON}"),
    ("phi4_mini_json", f"functools[{_JSON}]"),
    (
        "kimi_k2",
        ("<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        f"{_ARGUMENTS}<|tool_call_end|><|tool_calls_section_end|>"),
    ),
    (
        "kimi_k2 in the singular",
        ("<|tool_call_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        f"{_ARGUMENTS}<|tool_call_end|><|tool_call_section_end|>"),
    ),
    (
        "kimi_k2 without its section",
        f"<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{_ARGUMENTS}<|tool_call_end|>",
    ),
    (
        "kimi_k3",
        ('<|open|>tools<|sep|><|open|>call tool="get_weather" index="1"<|sep|><|open|>argument key="city" type="string"'
        "<|sep|>Rome<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|>"),
    ),
    (
        "deepseek_v3",
        ("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
        f"{_ARGUMENTS}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
    ),
    ("deepseek_v31", f"<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{_ARGUMENTS}<｜tool▁call▁end｜>"),
    ("deepseek_v32", f"<｜DSML｜function_calls>\n{_DSML}\n</｜DSML｜function_calls>"),
    ("deepseek_v4", f"<｜DSML｜tool_calls>\n{_DSML}\n</｜DSML｜tool_calls>"),
    ("deepseek_v41", f"<｜DSML｜ calls>\n{_DSML_41}\n</｜DSML｜ calls>"),
    ("deepseek_v32 without its outer tag", _DSML),
    ("deepseek_v41 without its outer tag", _DSML_41),
    (
        "step3",
        f"<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>{_STEPTML}<｜tool_call_end｜><｜tool_calls_end｜>",
    ),
    ("step3, one call", f"<｜tool_call_begin｜>function<｜tool_sep｜>{_STEPTML}<｜tool_call_end｜>"),
    ("step3 without its tokens", _STEPTML),
    ("inkling", f'<|content_invoke_tool_json|>{{"name": "get_weather", "args": {_ARGUMENTS}}}<|end_message|>'),
    ("inkling, as text", "<|content_invoke_tool_text|>get_weather Rome<|end_message|>"),
    (
        "inkling with its message",
        f'<|message_model|><|content_invoke_tool_json|>{{"name": "get_weather", "args": {_ARGUMENTS}}}<|end_message|>',
    ),
    (
        "inkling with its message, as text",
        "<|message_model|><|content_invoke_tool_text|>get_weather Rome<|end_message|>",
    ),
    ("plamo3", f"<|plamo:begin_tool_requests:plamo|>{_PLAMO}<|plamo:end_tool_requests:plamo|>"),
    ("plamo3, one call", _PLAMO),
    ("muse", f"<atem:function_calls>\n{_ATEM}\n</atem:function_calls>"),
    ("muse without its outer tag", _ATEM),
    ("muse with its header", f" to=get_weather<|message|>\n<atem:function_calls>\n{_ATEM}\n</atem:function_calls>"),
    (
        "beam",
        ("<|start|>assistant to=get_weather<|channel|>analysis <|constrain|>xml<|message|>"
        '<rfl:parameter name="city">\nRome\n</rfl:parameter><|call|>'),
    ),
    ("openai", f"<|channel|>commentary to={_HARMONY}"),
    ("openai with its start", f"<|start|>assistant<|channel|>commentary to={_HARMONY}"),
    ("openai in another channel", f"<|channel|>analysis to={_HARMONY}"),
    ("openai without its tokens", f"commentary to={_HARMONY}"),
    ("llama3_json", f'{{"name": "get_weather", "parameters": {_ARGUMENTS}}}'),
    ("llama3_json, spaced", f'{{\n  "name" : "get_weather",\n  "parameters" : {_ARGUMENTS}\n}}'),
    ("llama3_json with a type", f'{{"type": "function", "name": "get_weather", "parameters": {_ARGUMENTS}}}'),
    ("llama3_json, several", f"{_JSON}; {_JSON}"),
    ("xlam", f"[{_JSON}]"),
    ("xlam in a block", f"```json\n[{_JSON}]\n```"),
    ("xlam in a bare block", f"```\n{_JSON}\n```"),
    ("pythonic", '[get_weather(city="Rome")]'),
    ("pythonic, several", '[get_weather(city="Rome"), get_weather(city="Rome")]'),
    ("olmo3 without its tag", 'get_weather(city="Rome")'),
)  # fmt: skip

SAMPLES: Final = {
    **dict(_ROWS),
    **{f"{name}, ASCII bars": text.replace("｜", "|") for name, text in _ROWS if "｜" in text},
}
"""What the sample shows, and its text."""

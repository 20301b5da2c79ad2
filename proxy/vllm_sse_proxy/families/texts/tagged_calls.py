"""Calls in the content whose arguments are not JSON: tags (qwen3_coder, glm, minimax, deepseek from 3.2 on), and Python.

A tag says nothing of a value's type. The tool's schema does: what it calls a string is taken as it stands, anything else must
be JSON of a type that it names. Where the schema allows both, or does not know the parameter, only what cannot be anything but
a string is taken. Python's literals have their types.
"""

# ruff: noqa: RUF001 - the fullwidth bars are the markers' own characters

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Types = dict[str, tuple[str, ...]]
"""Name of a parameter → the JSON types that its schema names; none where the schema does not say."""

_DSML: Final = r"[｜|]DSML[｜|] ?"
_PREFIX: Final = rf"(?:{_DSML}|\w+:)?"
_NAME: Final = r"[\w.:/-]+"
_WRAPPER: Final = re.compile(
    rf"\s*</?(?:tool_calls?|function_calls?|\w+:tool_call|dots_function_call|{_PREFIX}(?:function_calls|tool_calls|calls))>"
)
_OPENED: Final = re.compile(
    rf'\s*<{_PREFIX}(?:function=\s*({_NAME})|(?:function|invoke) name="({_NAME})")\s*>'
)
_CLOSED: Final = re.compile(rf"\s*</{_PREFIX}(?:function|invoke)>")
_PARAMETER: Final = re.compile(
    rf'\s*<{_PREFIX}(?:parameter=([^<>]+)|param(?:eter)? name="([^"<>]+)"(?: string="(true|false)")?)>'
    rf"(.*?)</{_PREFIX}param(?:eter)?>",
    re.DOTALL,
)
_NAMED: Final = re.compile(rf"\s*({_NAME})(?=\s*(?:<arg_key>|</tool_call>))")
_NAMED_CLOSED: Final = re.compile(r"\s*</tool_call>")
_PAIR: Final = re.compile(r"\s*<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_SPACE: Final = re.compile(r"\s*\Z")


def types_of(schema: object) -> Types:
    """Return the types of the parameters of a tool, by its JSON schema."""
    properties = schema.get("properties") if type(schema) is dict else None
    if type(properties) is not dict:
        return {}
    return {name: _named_types(one) for name, one in properties.items() if type(name) is str}


def _named_types(schema: object) -> tuple[str, ...]:
    """Return the types that the schema of a parameter names; none if it may be anything."""
    if type(schema) is not dict:
        return ()
    given = schema.get("type")
    named = [given] if type(given) is str else given
    if type(named) is list:
        return tuple(one for one in named if type(one) is str)
    for joint in ("anyOf", "oneOf"):
        ways = schema.get(joint)
        if type(ways) is list:
            found = [_named_types(way) for way in ways]
            return tuple(one for types in found for one in types) if all(found) else ()
    values = schema.get("enum")
    if type(values) is list and values and all(type(value) is str for value in values):
        return ("string",)
    return ()


def read_tagged(text: str, types: Mapping[str, Types]) -> Iterator[tuple[str, str]]:
    """Yield the name and the arguments, a JSON object, of each call of a text that consists of calls in tags.

    :param types: tool → the types of its parameters.
    :raises ValueError: for a text that has anything else in it, or a value whose type is not certain.
    """
    at = 0
    while _SPACE.match(text, at) is None:
        wrapper = _WRAPPER.match(text, at)
        if wrapper is not None:
            at = wrapper.end()
            continue
        opened = _OPENED.match(text, at)
        named = _NAMED.match(text, at) if opened is None else None
        head = opened or named
        if head is None:
            raise ValueError(at)
        name = head[1] or head[2]
        pattern = _PARAMETER if named is None else _PAIR
        members: dict[str, str] = {}
        at = head.end()
        while (found := pattern.match(text, at)) is not None:
            member, value, is_string = (
                (found[1] or found[2], found[4], found[3]) if named is None else (found[1], found[2], None)
            )
            member = member.strip()
            if member in members:
                raise ValueError(at)
            members[member] = _json_of(value, types.get(name, {}).get(member, ()), is_string)
            at = found.end()
        closed = (_CLOSED if named is None else _NAMED_CLOSED).match(text, at)
        if closed is None:  # more arguments may be lost
            raise ValueError(at)
        at = closed.end()
        yield name, "{" + ", ".join(f"{_dumped(key)}: {value}" for key, value in members.items()) + "}"


def _json_of(text: str, types: tuple[str, ...], is_string: str | None) -> str:
    """Return a value as JSON.

    :param types: those that its schema names.
    :param is_string: what its own tag says of that, if anything.
    :raises ValueError: for one whose type is not certain.
    """
    if is_string == "true" or (is_string is None and types == ("string",)):
        return _dumped(text.removeprefix("\n").removesuffix("\n"))
    stripped = text.strip()
    spelled = _PYTHONIC.get(stripped, stripped)
    if is_string == "false" or (types and "string" not in types):
        value = _strict.decode(spelled)
        if types and not any(_is_of(value, one) for one in types):
            raise ValueError(text)
        return spelled
    try:
        _strict.decode(spelled)
    except ValueError:
        return _dumped(text.removeprefix("\n").removesuffix("\n"))
    raise ValueError(text)


_PYTHONIC: Final = {"True": "true", "False": "false", "None": "null"}
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def _is_of(value: object, name: str) -> bool:
    return type(value) in _TYPES.get(name, ())


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _no_number(name: str) -> None:
    raise ValueError(name)


_strict: Final = json.JSONDecoder(parse_constant=_no_number)

# ------------------------------------------------------------------------------------------------------------------ Python

PYTHON_TAGS: Final = {
    "<|python_start|>": "<|python_end|>",
    "<|tool_call_start|>": "<|tool_call_end|>",
    "<function_calls>": "</function_calls>",
}
"""What opens calls in Python → what closes them."""
_LONGEST: Final = 20_000
"""Characters of the longest text that is read as Python: 10 ms of a parser that is not interrupted."""
_JSON_NAMES: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}


def read_python(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the arguments, a JSON object, of each call of a text that is a list of calls, or has one a line.

    :raises ValueError: for anything else: an argument without a name, a value that is not a literal.
    """
    for opening, closing in PYTHON_TAGS.items():
        if text.startswith(opening):
            text = text[len(opening) :].strip().removesuffix(closing)
    if len(text) > _LONGEST:
        raise ValueError(text)
    try:
        module = ast.parse(text.strip())
    except (SyntaxError, MemoryError) as error:
        raise ValueError(text) from error
    for statement in module.body:
        value = statement.value if isinstance(statement, ast.Expr) else None
        for call in value.elts if isinstance(value, ast.List) else [value]:
            yield _call_of(call)


def _call_of(call: ast.expr | None) -> tuple[str, str]:
    if not isinstance(call, ast.Call) or call.args:
        raise ValueError(call)
    values: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in values:
            raise ValueError(keyword)
        values[keyword.arg] = _literal(keyword.value)
    return ast.unparse(call.func), json.dumps(values, ensure_ascii=False, allow_nan=False)


def _literal(node: ast.expr | None) -> Any:
    """Return the JSON value that a literal is.

    :raises ValueError: for what is none.
    """
    if isinstance(node, ast.Name) and node.id in _JSON_NAMES:
        return _JSON_NAMES[node.id]
    if isinstance(node, ast.List):
        return [_literal(one) for one in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_literal(key) for key in node.keys]
        if any(type(key) is not str for key in keys) or len(set(keys)) < len(keys):
            raise ValueError(node)
        return dict(zip(keys, map(_literal, node.values), strict=True))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _literal(node.operand)
        if type(value) in (int, float):
            return -value
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
        return node.value
    raise ValueError(node)

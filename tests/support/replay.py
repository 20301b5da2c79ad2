"""One recorded stream through the normalizer, and what can be said of the outcome."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import orjson

from tests.support.strict import strict_errors
from vllm_sse_proxy import BodyEnd, Dialect, Plan, RequestContext, StreamNormalizer, build_plan
from vllm_sse_proxy.families.responses.conformance import check_stream
from vllm_sse_proxy.families.responses.grammar import (
    ALIASES,
    FUNCTION_ARGUMENTS,
    RUN_OF_DELTA,
    SUMMARY_TEXT,
    TERMINAL,
    item_kind,
)
from vllm_sse_proxy.sse import FrameDecoder
from vllm_sse_proxy.stream.engine import Engine

STRICT = build_plan(strict=True)

_SPECIAL_TOKENS = re.compile(r"</?think>|</?tool_call>|<\|\w+\|>")
_FORCED_CALL = re.compile(r'\{"name": "(\w+)", "parameters": (.*?)(?=\}?, \{"name"|\}\]|\}?$)', re.DOTALL)
_CUT_BEFORE_ARGUMENTS = re.compile(r'\s*\{"name": "(\w+)"?[\s,]*(?:"\w*"?)?[\s:]*')


def normalize(
    chunks: Iterable[bytes], end: BodyEnd, *, plan: Plan = STRICT, context: RequestContext | None = None
) -> tuple[bytes, StreamNormalizer]:
    """Send the chunks through a normalizer until it has ended; return what it made."""
    normalizer = StreamNormalizer(plan, context or RequestContext())
    made = []
    for chunk in chunks:
        made.append(normalizer.feed(chunk))
        if normalizer.ended:
            break
    made.append(normalizer.finish(end))
    return b"".join(made), normalizer


def count_rewrites(run: Callable[[], object]) -> int:
    """Return how many deltas are rewritten, and not walked, while something runs on a core of Python."""
    counts: list[bool] = []

    def rewritten(engine: Engine, frame: bytes) -> bytes | None:
        made = original(engine, frame)
        counts.append(made is not None)
        return made

    original = Engine.rewritten
    with patch.object(Engine, "rewritten", rewritten):
        run()
    return sum(counts)


def faults(stream: bytes, *, dialect: Dialect = Dialect.OPENAI) -> list[str]:
    """Return everything that the judge and the `openai` package's types find wrong."""
    types = strict_errors(stream)
    if dialect is Dialect.OPEN_RESPONSES:  # whose schema wants null where OpenAI's types want an object
        types = [error for error in types if "ResponseFormatTextJSONSchemaConfig.schema" not in error]
    return [*map(str, check_stream(stream, dialect=dialect)), *types]


def bodies(stream: bytes) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a stream, without what is none."""
    for frame in FrameDecoder(max_frame_bytes=len(stream) + 1).feed(stream):
        try:
            body = orjson.loads(frame.data)
        except ValueError:
            continue
        if isinstance(body, dict):
            yield body


@dataclass(frozen=True)
class Saying:
    """The words of a stream."""

    deltas: dict[str, str]
    """What its deltas say, by kind of text, joined in the order of the stream."""
    emitted: str
    """All deltas joined."""
    final: list[tuple[str, str]]
    """The texts of its final object, each with its kind."""


def what_is_said(stream: bytes) -> Saying:
    """Collect the words of a stream."""
    deltas: dict[str, str] = {}
    emitted = ""
    final: list[tuple[str, str]] = []
    for body in bodies(stream):
        type_ = ALIASES.get(body.get("type", ""), body.get("type", ""))
        if type_ in RUN_OF_DELTA and isinstance(body.get("delta"), str):
            name = RUN_OF_DELTA[type_].name
            deltas[name] = deltas.get(name, "") + body["delta"]
            emitted += body["delta"]
        elif type_ in TERMINAL:
            final = [text for item in body["response"].get("output") or [] for text in texts_of(item)]
    return Saying(deltas, emitted, final)


def texts_of(item: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the texts of an item, each with the name of its kind."""
    for part in item.get("content") or []:
        yield part["type"], part.get("text") or part.get("refusal") or ""
    for part in item.get("summary") or []:
        yield SUMMARY_TEXT.name, part["text"]
    run = item_kind(item["type"]).run
    if run is not None:
        yield run.name, item.get(run.field) or ""


def lost_words(upstream: bytes, emitted: bytes) -> list[str]:
    """Return which texts of upstream's the client never hears. (That all it hears is in its final object, the judge sees.)

    A text may be emitted as another kind than upstream's final object says (R03, R17, R23): what was streamed stands.
    """
    before, after = what_is_said(upstream), what_is_said(emitted)
    final = "\n".join(text for _, text in after.final)
    sent_calls = any(name == FUNCTION_ARGUMENTS.name for name, _ in after.final)
    sent_arguments = after.deltas.get(FUNCTION_ARGUMENTS.name, "")
    sent_names = [body["item"]["name"] for body in bodies(emitted) if body.get("item", {}).get("name")]
    called = [text for name, text in before.final if name == FUNCTION_ARGUMENTS.name]
    lost = [
        f"upstream's deltas of {name}: {text[-60:]!r}"
        for name, text in (
            (name, _without_calls(text, called) if called else text) for name, text in before.deltas.items()
        )
        if not holds(after.deltas.get(name, ""), text) and not holds(after.emitted, text)
    ]
    lost += [
        f"upstream's final {name}: {text[-60:]!r}"
        for name, text in (
            (name, _without_sent_calls(text, sent_arguments, sent_names) if sent_calls else text)
            for name, text in before.final
        )
        if not holds(after.emitted, text)
        and not holds(final, text)
        and not (name == FUNCTION_ARGUMENTS.name and _is_called(text, after.final))
    ]
    return lost


def doubled_words(upstream: bytes, emitted: bytes) -> list[str]:
    """Return whether the client hears more than upstream says anywhere: then it hears something twice.

    Upstream may say more in its deltas or in its final object; white space and special tokens count for nothing.
    """
    before, after = what_is_said(upstream), what_is_said(emitted)
    streamed, final, heard = (
        len("".join(_SPECIAL_TOKENS.sub("", text).split()))
        for text in (
            before.emitted,
            "".join(text for _, text in before.final),
            "".join(text for _, text in after.final),
        )
    )
    return (
        [f"{heard} characters emitted, {streamed} streamed, {final} final"]
        if heard > max(streamed, final)
        else []
    )


def _is_called(arguments: str, final: list[tuple[str, str]]) -> bool:
    """Whether a call in the final object has the same arguments, however the JSON is spaced."""
    try:
        wanted = orjson.loads(arguments)
    except ValueError:
        return False
    for name, text in final:
        if name == FUNCTION_ARGUMENTS.name:
            try:
                if orjson.loads(text) == wanted:
                    return True
            except ValueError:
                continue
    return False


def _without_sent_calls(text: str, emitted: str, names: list[str]) -> str:
    """Return final text without the raw text of calls whose arguments were emitted (R39).

    :param emitted: all arguments that the client was sent.
    :param names: the names of all calls that it was sent.
    """

    forced = _FORCED_CALL.findall(text) if text.lstrip().startswith("[{") else []
    if forced and all(name in names and arguments in emitted for name, arguments in forced):
        return ""

    def left_of(call: re.Match[str]) -> str:
        cut = _CUT_BEFORE_ARGUMENTS.fullmatch(call[1])
        if cut is not None:
            return "" if cut[1] in names else call[0]
        _, found, arguments = call[1].partition('"arguments')
        arguments = arguments.lstrip('": ').rstrip("} \n")
        return "" if not call[1].strip() or (found and arguments in emitted) else call[0]

    return re.sub(r"<tool_call>(.*?)(</tool_call>|(?=<tool_call>)|$)", left_of, text, flags=re.DOTALL)


def _without_calls(text: str, called: list[str]) -> str:
    """Return streamed text without the calls in it: upstream's final object has them as calls, and so they are emitted (R03).

    :param called: the arguments of the calls in the final object, as JSON.
    """
    return (
        ""
        if _is_forced_calls(text, called)
        else re.sub(r"<tool_call>.*?(</tool_call>|$)", "", text, flags=re.DOTALL)
    )


def _is_forced_calls(text: str, called: list[str]) -> bool:
    """Whether the text is the JSON list that a `tool_choice` of `required` makes the model write, and all of it was called."""
    try:
        listed = orjson.loads(text)
        arguments = [orjson.loads(one) for one in called]
    except ValueError:
        return False
    return (
        isinstance(listed, list)
        and [call.get("parameters") if isinstance(call, dict) else None for call in listed] == arguments
    )


def holds(said: str, text: str) -> bool:
    """Whether every word of `text` is in `said`, in its order, with nothing but other words between.

    Special tokens are not words: vLLM leaves them out of a text in one of its two parses only.
    """
    if text in said or _SPECIAL_TOKENS.sub("", text) in _SPECIAL_TOKENS.sub("", said):
        return True
    place = 0
    for word in _SPECIAL_TOKENS.sub(" ", text).split():
        place = said.find(word, place)
        if place < 0:
            return False
        place += len(word)
    return True

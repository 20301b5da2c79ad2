"""Log lines on standard output: one JSON object per line, for collectors, or text, for people.

Each request is logged once, at its end, in one line with everything known about it; level debug adds lines while a stream
passes. Bodies, queries, cookies, authorization
and all other header values except the request id, the user agent and, from trusted proxies, the client's address never get
here. What a client chose (path, request id, model …) is escaped and shortened, so that no request can forge a line.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TextIO

import orjson

from vllm_sse_proxy.settings import LogFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.settings import LogLevel

LOGGER_NAME = "vllm_sse_proxy"
logger = logging.getLogger(LOGGER_NAME)

# Everything that a terminal or a line-based collector might act upon: C0, DEL, C1, line and paragraph separators, surrogates,
# and what is not seen but changes the order or the look of the rest (Unicode Technical Report 36).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")

# A client may send a path of many kilobytes; a log line need not repeat all of it.
MAX_VALUE_CHARACTERS = 1024


def configure(
    level: LogLevel,
    log_format: LogFormat,
    stream: TextIO | None = None,
    *,
    context: Mapping[str, Any] | None = None,
) -> None:
    """Send the project's and aiohttp's log lines to ``stream`` (standard output by default).

    Call it once per process, before anything logs. Lines that can no longer be written are lost: no request fails for them.

    :param context: fields of every line.
    """
    logging.raiseExceptions = False
    # No line says these, so they need not be found out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    stream = sys.stdout if stream is None else stream
    handler = logging.StreamHandler(stream)
    is_text = stream.isatty() if log_format is LogFormat.AUTO else log_format is LogFormat.TEXT
    handler.setFormatter(TextFormatter() if is_text else JsonFormatter())
    if context:
        handler.addFilter(partial(_add_context, dict(context)))
    for name in (LOGGER_NAME, "aiohttp", "asyncio", "opentelemetry"):
        target = logging.getLogger(name)
        target.handlers[:] = [handler]
        target.propagate = False
        # aiohttp logs bad requests as ERROR with a traceback; its less severe lines are of no use to an operator.
        target.setLevel(level.value.upper() if name == LOGGER_NAME else logging.ERROR)


def emit(level: int, message: str, /, **fields: Any) -> None:
    """Write one line with fields; a field that is None is left out."""
    if logger.isEnabledFor(level):
        # Built here, and not by `logger.log`, which first looks up where in the code it was called from: no line says that.
        record = logging.LogRecord(LOGGER_NAME, level, __file__, 0, message, None, None)
        record.fields = fields
        logger.handle(record)


class JsonFormatter(logging.Formatter):
    """``ts`` (RFC 3339, UTC, milliseconds), ``level``, ``msg``, then the fields in the order in which they were given."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one line of JSON, without its newline."""
        line: dict[str, Any] = {
            "ts": _timestamp(record.created),
            "level": record.levelname.lower(),
            "msg": escape(record.getMessage()),
        }
        line.update(_fields_of(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """The same line for people: time, level, message, ``key=value`` pairs."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one line of text, without its newline; a traceback follows on lines of its own."""
        pairs = "".join(f" {name}={_show(value)}" for name, value in _fields_of(record).items())
        message = escape(record.getMessage())
        line = f"{_timestamp(record.created)} {record.levelname.lower():<7} {message}{pairs}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def milliseconds(seconds: float) -> float:
    """Return a time as log lines have it."""
    return round(seconds * 1000, 1)


def escape(text: str) -> str:
    r"""Make a client's text safe for a log line: control characters become ``\xNN`` or ``\uNNNN``, long text is shortened."""
    if len(text) <= MAX_VALUE_CHARACTERS and text.isascii() and text.isprintable():
        return text
    if len(text) > MAX_VALUE_CHARACTERS:
        text = text[:MAX_VALUE_CHARACTERS] + "…"
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def _add_context(context: dict[str, Any], record: logging.LogRecord) -> bool:
    record.fields = {**context, **getattr(record, "fields", {})}
    return True


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return {name: _escaped(value) for name, value in fields.items() if value is not None}


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return escape(value)
        case list() | tuple():
            return [_escaped(each) for each in value]
        case _:
            return value


def _show(value: Any) -> str:
    match value:
        case dict():
            return ",".join(f"{key}:{_show(entry)}" for key, entry in value.items()) or "-"
        case list():
            return ",".join(map(_show, value)) or "-"
        case str():
            return orjson.dumps(value).decode() if not value or set(value) & set(' "=') else value
        case bool() | None:
            return str(value).lower()
        case _:
            return str(value)


def _timestamp(seconds: float) -> str:
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()

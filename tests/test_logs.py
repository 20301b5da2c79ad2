from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import orjson
import pytest

from vllm_sse_proxy.logs import MAX_VALUE_CHARACTERS, configure, emit, escape, logger
from vllm_sse_proxy.settings import LogFormat, LogLevel

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    names = ("vllm_sse_proxy", "aiohttp", "asyncio", "opentelemetry")
    before = [(log := logging.getLogger(name), log.handlers[:], log.propagate, log.level) for name in names]
    raising = logging.raiseExceptions
    yield
    for log, handlers, propagate, level in before:
        log.handlers[:], log.propagate = handlers, propagate
        log.setLevel(level)
    logging.raiseExceptions = raising


def written(log_format: LogFormat, level: LogLevel = LogLevel.INFO, /, **fields: object) -> str:
    sink = io.StringIO()
    configure(level, log_format, sink)
    emit(logging.INFO, "request", **fields)
    return sink.getvalue()


def test_json() -> None:
    text = written(LogFormat.JSON, path="/x", status=200, ttfb_ms=None, repairs={"item_ids": 2})
    assert text.count("\n") == 1
    line = orjson.loads(text)
    assert list(line) == ["ts", "level", "msg", "path", "status", "repairs"]
    assert line["ts"].endswith("Z")
    assert (line["level"], line["msg"], line["repairs"]) == ("info", "request", {"item_ids": 2})


def test_text() -> None:
    text = written(
        LogFormat.TEXT, path="/a b", status=200, stream=True, repairs={"x": 1, "y": 2}, none={}, empty=""
    )
    assert text.endswith(
        ' info    request path="/a b" status=200 stream=true repairs=x:1,y:2 none=- empty=""\n'
    )


@pytest.mark.parametrize("log_format", list(LogFormat))
@pytest.mark.parametrize("evil", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\x7fb", "a\x85b", "a\u2028b", "a\udcffb"])
def test_no_client_can_forge_a_line(log_format: LogFormat, evil: str) -> None:
    text = written(log_format, path=evil)
    assert text.count("\n") == 1
    assert not set(text[:-1]) & set("\n\r\x1b\x7f\x85\u2028\udcff")
    text.encode()


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_lists_are_escaped_too(log_format: LogFormat) -> None:
    text = written(log_format, models=["a\n", "b\x1b", "c\ud800"])
    assert text.count("\n") == 1
    text.encode()


def test_what_changes_the_look_of_a_line_is_escaped() -> None:
    assert escape("a\u202eb\u200bc\ufeff") == r"a\u202eb\u200bc\ufeff"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("log_format", "sink", "is_json"),
    [
        (LogFormat.AUTO, Screen(), False),
        (LogFormat.AUTO, io.StringIO(), True),
        (LogFormat.JSON, Screen(), True),
        (LogFormat.TEXT, io.StringIO(), False),
    ],
)
def test_text_for_terminals(log_format: LogFormat, sink: io.StringIO, *, is_json: bool) -> None:
    configure(LogLevel.INFO, log_format, sink)
    emit(logging.INFO, "request", models=["a", "b"], none=[])
    line = sink.getvalue()
    assert line.startswith("{") is is_json
    assert is_json or line.endswith("request models=a,b none=-\n")


def test_long_values_are_cut() -> None:
    assert len(escape("x" * 100_000)) == MAX_VALUE_CHARACTERS + 1


def test_level() -> None:
    assert written(LogFormat.JSON, LogLevel.WARNING, path="/x") == ""


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_tracebacks_are_kept(log_format: LogFormat) -> None:
    sink = io.StringIO()
    configure(LogLevel.INFO, log_format, sink)
    try:
        [].pop()
    except IndexError:
        logger.exception("unexpected error")
    assert "IndexError: pop from empty list" in sink.getvalue()
    assert (sink.getvalue().count("\n") == 1) is (log_format is not LogFormat.TEXT)


def test_a_closed_output_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    sink = io.StringIO()
    configure(LogLevel.INFO, LogFormat.JSON, sink)
    sink.close()
    emit(logging.INFO, "request")
    assert capsys.readouterr().err == ""

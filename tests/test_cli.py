"""The command line as users run it: in this process where that shows the same, as a process where it does not."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.support.local_server import free_port
from tests.support.whole_stream import DELTA, WHOLE
from vllm_sse_proxy import __version__
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.config import load
from vllm_sse_proxy.settings import ServerSettings, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


GOOD = b"".join(WHOLE)
BROKEN = GOOD.replace(b'"delta":"Hi."', b'"delta":{"content":"Hi."}')
assert BROKEN != GOOD


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("SSE_PROXY_"):
            monkeypatch.delenv(name)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.sse"
    file.write_bytes(BROKEN)
    return file


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def exit_code(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code


def test_repair_from_input_to_output(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    feed(monkeypatch, BROKEN)
    assert main(["repair"]) == 0
    assert capsysbinary.readouterr() == (GOOD, b"")


def test_repair_from_file_to_file(broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixed = tmp_path / "fixed.sse"
    assert main(["repair", str(broken), "-o", str(fixed), "--summary"]) == 0
    assert fixed.read_bytes() == GOOD
    summary = capsys.readouterr().err
    assert "repair string_deltas: 1" in summary
    assert "ending: completed" in summary


def test_repair_ends_what_was_cut(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    feed(monkeypatch, GOOD[: GOOD.index(DELTA) + len(DELTA)])
    assert main(["repair", "-"]) == 0
    output = capsysbinary.readouterr().out
    assert b"event: response.failed\n" in output
    assert output.endswith(b"data: [DONE]\n\n")


def test_what_steers_the_core(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    feed(monkeypatch, BROKEN)
    assert main(["repair", "--mode", "observe"]) == 0
    assert capsysbinary.readouterr().out == BROKEN
    feed(monkeypatch, BROKEN)
    assert main(["repair", "--disable-repair", "string_deltas", "--no-done-sentinel"]) == 0
    output = capsysbinary.readouterr().out
    assert b'"delta":{"content":"Hi."}' in output
    assert b"[DONE]" not in output


def test_repair_does_not_overwrite_its_input(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repair", str(broken), "-o", str(broken)]) == 2
    assert "is the input" in capsys.readouterr().err
    assert broken.read_bytes() == BROKEN


def test_check(monkeypatch: pytest.MonkeyPatch, broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(broken)]) == 1
    output, error = capsys.readouterr()
    assert output.startswith("event 4: ")
    assert error == f"{len(output.splitlines())} violations\n"
    feed(monkeypatch, GOOD)
    assert main(["check", "--dialect", "openai"]) == 0
    assert capsys.readouterr() == ("", "conforming\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "no-such-file"], "no-such-file: No such file or directory"),
        (["repair", "no-such-file"], "no-such-file: No such file or directory"),
        (["repair", "-o", "no/such/folder/file"], "no/such/folder/file: No such file or directory"),
        (["check", "--dialekt", "openai"], "unknown argument --dialekt; did you mean --dialect?"),
        (["serve", "--upsteam=x"], "unknown argument --upsteam; did you mean --upstream?"),
        (["check", "one", "two"], "unexpected argument two"),
        (
            ["serve"],
            "upstream is required: give --upstream, SSE_PROXY_UPSTREAM, or upstream in the configuration file",
        ),
        (
            ["healthcheck", "--url", "file:///etc/passwd"],
            "--url: 'file:///etc/passwd' must start with http:// or https://",
        ),
    ],
)
def test_usage_errors_are_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    feed(monkeypatch, b"")
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", f"vllm-sse-proxy: {message}\n")


def test_an_unknown_repair_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--disable-repair", "string_delta"]) == 2
    error = capsys.readouterr().err
    assert "--disable-repair" in error
    assert "string_deltas" in error


def test_a_name_that_is_like_no_other_gets_no_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--disable-repair", "xyz"]) == 2
    assert "repair 'xyz' is not known\n" in capsys.readouterr().err
    assert main(["check", "--quux"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serv"]) == 2
    assert capsys.readouterr().err == "vllm-sse-proxy: unknown command 'serv'; did you mean serve?\n"
    assert main(["xyz"]) == 2
    assert "'xyz'; there are: serve, probe, repair, " in capsys.readouterr().err
    assert main(["serve", "http://127.0.0.1:8000"]) == 2
    error = capsys.readouterr().err
    assert (
        error == "vllm-sse-proxy: unexpected argument http://127.0.0.1:8000; did you mean --upstream URL?\n"
    )


@pytest.mark.parametrize("command", [["serve"], ["config", "check"], ["check"], ["repair"]])
def test_the_usage_in_an_error_leaves_the_settings_out(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*command, "--dialect") == 2
    usage, rest, error = capsys.readouterr().err.splitlines()
    assert usage.startswith(f"usage: vllm-sse-proxy {command[0]} [-h]")
    assert rest.strip() == "[--config FILE] [--SETTING VALUE ...]"
    assert error.endswith("argument --dialect: expected one argument")


def test_repair_says_that_it_does_not_know_what_it_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, b"<html>502 Bad Gateway</html>")
    assert main(["repair"]) == 0
    out, error = capsys.readouterr()
    assert "response.failed" in out
    assert "nothing in the input says which protocol it is of" in error
    feed(monkeypatch, GOOD)
    assert main(["repair"]) == 0
    assert capsys.readouterr().err == ""


def test_a_folder_that_is_no_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in "check", "repair":
        assert main([command, str(tmp_path)]) == 2
        assert (
            f"{tmp_path}: is a folder without upstream.sse, so not a recording\n" in capsys.readouterr().err
        )
    recording = tmp_path / "20261126T120000-000000-17-0"
    recording.mkdir()
    (recording / "upstream.sse").write_bytes(GOOD)
    assert main(["check", str(tmp_path)]) == 2
    assert f"there are recordings in it, such as {recording}\n" in capsys.readouterr().err


@pytest.mark.parametrize("family", [[], ["--family", "responses"]])
def test_an_answer_with_its_head(
    family: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + GOOD)
    assert main(["check", *family]) == 1
    assert capsys.readouterr().out.startswith("this is not a stream, but an HTTP answer with its head")


def test_one_violation_is_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    feed(monkeypatch, GOOD.replace(b"data: [DONE]\n\n", b""))
    assert main(["check"]) == 1
    assert capsys.readouterr().err == "1 violation\n"


def test_healthcheck_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["healthcheck", "--url", f"http://127.0.0.1:{free_port()}/readyz"]) == 1
    error = capsys.readouterr().err
    assert "nothing listens there: the proxy does not run" in error
    assert "urlopen" not in error


def test_config_show_needs_no_upstream(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SSE_PROXY_UPSTREAM", raising=False)
    assert main(["config", "show", "--port", "7"]) == 0
    shown = capsys.readouterr().out
    assert "# upstream is not set; serve needs it\n" in shown
    assert "port = 7  # --port\n" in shown
    assert "invalid" not in shown
    assert main(["config", "check"]) == 2
    assert "upstream is required" in capsys.readouterr().err
    assert main(["config", "show", "--port", "x"]) == 2
    assert capsys.readouterr().err.startswith("vllm-sse-proxy: --port: ")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"vllm-sse-proxy {__version__}\n"
    for command in ("serve", "repair", "check", "demo", "healthcheck"):
        assert exit_code(command, "--help") == 0
        assert command in capsys.readouterr().out
    assert exit_code() == 2
    assert exit_code("-x") == 2


def test_serve_takes_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[ServerSettings] = []

    def serve(settings: ServerSettings) -> int:
        served.append(settings)
        return 7

    monkeypatch.setattr("vllm_sse_proxy.server.serve", serve)
    flags = ["--upstream", "http://h:1", "--port", "0", "--keepalive", "event", "--preserve-host"]
    assert main(["serve", *flags, "--disable-repair", "done_items", "--disable-repair", "string_deltas"]) == 7
    (settings,) = served
    assert (settings.port, settings.keepalive, settings.preserve_host) == (0, "event", True)
    assert settings.disable_repairs == ("done_items", "string_deltas")


def test_what_is_no_text_is_an_error_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--upstream", "http://\udcff"]) == 2
    assert (
        "--upstream: has a space, or a character that is not printed, in it; an example"
        in capsys.readouterr().err
    )


def test_settings_that_nobody_could_read_are_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vllm_sse_proxy.cli.serve._READER", "vllm_sse_proxy.nowhere")
    assert main(["serve", "--upstream", "http://h:1"]) == 2
    assert "the settings could not be read: vllm_sse_proxy.nowhere ended with 1" in capsys.readouterr().err


def test_demo_is_dispatched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vllm_sse_proxy.demo.run", lambda options: 5 if options.once else 0)
    assert main(["demo", "--once"]) == 5


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("vllm_sse_proxy.demo.run", interrupt)
    assert main(["demo"]) == 130


class _Admin(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"ok\n" if self.path == "/readyz" else b"?")

    def log_message(self, *_: object) -> None: ...


@contextmanager
def admin_port(status: int) -> Iterator[int]:
    _Admin.status = status
    with HTTPServer(("127.0.0.1", 0), _Admin) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_healthcheck(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    with admin_port(status) as port:
        monkeypatch.setenv("SSE_PROXY_HOST", "0.0.0.0")  # noqa: S104
        monkeypatch.setenv("SSE_PROXY_ADMIN_PORT", str(port))
        assert main(["healthcheck"]) == code
    output, error = capsys.readouterr()
    assert output == ("ok\n" if code == 0 else "")
    assert ("503" in error) is bool(code)


@pytest.mark.parametrize(
    "text", ['host = "[::]"\nadmin_host = "0.0.0.0"\nadmin_port = %d\n', "admin_port = [", None]
)
def test_healthcheck_reads_the_file_of_the_settings(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    monkeypatch.setenv("SSE_PROXY_CONFIG", str(file))
    with admin_port(200) as port:
        if text is not None:
            file.write_text(text.replace("%d", str(port)))
        if "%d" not in (text or ""):  # `serve` says what is wrong with the file
            monkeypatch.setenv("SSE_PROXY_ADMIN_PORT", str(port))
        assert main(["healthcheck"]) == 0


@pytest.mark.parametrize("url", ["http://a b/readyz", "http://127.0.0.1:http/readyz"])
def test_healthcheck_of_what_is_no_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["healthcheck", "--url", url]) == 1
    assert url in capsys.readouterr().err


def test_healthcheck_of_what_is_no_http(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = Thread(target=answer)
        thread.start()
        assert main(["healthcheck", "--url", f"http://127.0.0.1:{server.getsockname()[1]}/"]) == 1
        thread.join()
    assert "what answers is not HTTP" in capsys.readouterr().err


def test_healthcheck_imports_little() -> None:
    program = (
        "import sys; from vllm_sse_proxy.cli import main; main(['healthcheck', '--url', 'http://127.0.0.1:1/']);"
        "print(sorted({'aiohttp', 'pydantic', 'orjson', 'prometheus_client', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_serve_imports_no_more_than_it_needs() -> None:
    """Settings are read in another process, nobody is judged, and no word is misspelt: all of it would stay in memory."""
    unneeded = r"(pydantic|difflib|yaml)\b.*|.*\.(conformance|judging|\w+_judging)"
    serve = ["serve", "--upstream", "http://127.0.0.1:1", "--port", "0", "--admin-port", "0"]
    program = (
        "import atexit, re, sys; from vllm_sse_proxy.cli import main;"
        f"atexit.register(lambda: print('unneeded', [*filter(re.compile({unneeded!r}).fullmatch, sys.modules)]));"
        f"sys.exit(main({serve!r}))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        assert any("listening" in line for line in process.stdout)
        process.terminate()
        assert process.stdout.read().splitlines()[-1] == "unneeded []"
    assert process.returncode == 0


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "long.sse"
    file.write_bytes(GOOD[: GOOD.index(DELTA)] + DELTA * 20_000)
    with subprocess.Popen(
        [sys.executable, "-m", "vllm_sse_proxy", "repair", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_live_stream_is_repaired_as_it_comes() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "vllm_sse_proxy", "repair"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for frame in WHOLE[:5]:
            process.stdin.write(frame)
            process.stdin.flush()
            assert process.stdout.read(len(frame)) == frame
        process.stdin.write(b"".join(WHOLE[5:]))
        process.stdin.close()
        assert process.stdout.read() == b"".join(WHOLE[5:])
    assert process.returncode == 0


class TestConfig:
    def test_show_prints_every_setting_and_where_it_comes_from(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "proxy.toml"
        file.write_text('port = 9100\nkeepalive_seconds = 5\nupstream = "http://file:8000"\n')
        monkeypatch.setenv("SSE_PROXY_UPSTREAM", "http://user:hunter2@vllm:8000")
        monkeypatch.setenv("SSE_PROXY_DISABLE_REPAIRS", "string_deltas,done_items")
        monkeypatch.setenv("SSE_PROXY_PORT", "9200")
        assert main(["config", "show", "--config", str(file), "--port", "9300", "--preserve-host"]) == 0
        shown = capsys.readouterr().out
        assert "hunter2" not in shown
        lines = shown.splitlines()
        assert "port = 9300  # --port" in lines
        assert f"keepalive_seconds = 5.0  # {file}: keepalive_seconds" in lines
        assert (
            'upstream = "http://vllm:8000"  # SSE_PROXY_UPSTREAM; its user and password are not shown'
            in lines
        )
        assert 'disable_repairs = ["string_deltas", "done_items"]  # SSE_PROXY_DISABLE_REPAIRS' in lines
        assert "preserve_host = true  # --preserve-host" in lines
        assert 'mode = "normal"  # default' in lines
        assert "# admin_host is not set" in lines

    def test_what_it_shows_is_a_file_that_gives_the_same_settings(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        given = ["--upstream", "http://vllm:8000", "--no-done-sentinel", "--dialect", "upstream"]
        assert main(["config", "show", *given]) == 0
        file = tmp_path / "shown.toml"
        file.write_text(capsys.readouterr().out)
        assert load(ServerSettings, {}, config_file=str(file)) == load(
            ServerSettings, {"upstream": "http://vllm:8000", "done_sentinel": False, "dialect": "upstream"}
        )

    def test_check(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["config", "check"]) == 2
        assert "upstream is required" in capsys.readouterr().err
        monkeypatch.setenv("SSE_PROXY_UPSTREAM", "http://vllm:8000")
        assert main(["config", "check", "--port", "none"]) == 2
        assert "--port: " in capsys.readouterr().err
        assert main(["config", "check"]) == 0
        assert capsys.readouterr() == ("usable\n", "")

    def test_schema_describes_every_setting(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["config", "schema"]) == 0
        schema = json.loads(capsys.readouterr().out)
        assert set(schema["properties"]) == set(settings_of(ServerSettings))
        assert schema["required"] == ["upstream"]
        assert schema["additionalProperties"] is False
        assert all("description" in described for described in schema["properties"].values())

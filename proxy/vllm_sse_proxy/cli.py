"""The command line: serve, repair, check, config, demo, healthcheck.

Exit codes: 0, done (for ``check``: the stream conforms; for ``serve``: see :mod:`vllm_sse_proxy.server.app`); 1, it did not go
well; 2, the command line or the settings cannot be used. What is wrong with the input is told in a line, never as a traceback.

Nothing heavy is imported before it is known to be needed: ``healthcheck`` is run every few seconds and must cost little.
"""

# ruff: noqa: PLC0415 - what is imported late is imported by the command that needs it

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast

from vllm_sse_proxy import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import BufferedReader

    from vllm_sse_proxy.config import CoreSettings
    from vllm_sse_proxy.families.responses import StreamNormalizer

SettingsT = TypeVar("SettingsT", bound="CoreSettings")

PROGRAM: Final = "vllm-sse-proxy"

USAGE_ERROR: Final = 2
INTERRUPTED: Final = 130  # what shells make of SIGINT

READ_BYTES: Final = 64 * 1024

HEALTHCHECK_SECONDS: Final = 3.0
"""How long the admin port may take to answer; container engines' own limits are higher."""


class UsageError(Exception):
    """The command cannot be carried out as it was given; ``lines`` say why."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``arguments`` are those of the process by default."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if arguments[:1] == ["healthcheck"]:
            return healthcheck(arguments[1:])
        return _dispatch(arguments)
    except UsageError as error:
        for line in error.lines:
            print(f"{PROGRAM}: {line}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain when it flushes what is left at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _dispatch(arguments: list[str]) -> int:
    parser, commands = _build_parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise UsageError(*_unknown_arguments(unknown, commands[options.command]))
    match options.command:
        case "serve":
            return _serve(options)
        case "repair":
            return _repair(options)
        case "check":
            return _check(options)
        case "config":
            return _config(options)
        case _:
            from vllm_sse_proxy import demo

            return demo.run(options)


def healthcheck(arguments: Sequence[str]) -> int:
    """Ask the admin port of a proxy on this machine whether it is ready; 0 if it is. For HEALTHCHECK and exec probes."""
    import urllib.error
    import urllib.request

    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} healthcheck", description="Ask the admin port whether the proxy is ready."
    )
    parser.add_argument("--url", default=_readiness_url(), help="what to ask (default: %(default)s)")
    url = parser.parse_args(arguments).url
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--url: {url!r} must start with http:// or https://")
    # An HTTP proxy in the environment has no business between a container and its own loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=HEALTHCHECK_SECONDS) as answer:
            print(answer.read(READ_BYTES).decode(errors="replace").strip())
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors; a 503 is one of them
        print(f"{PROGRAM}: {url}: {error}", file=sys.stderr)
        return 1
    return 0


def _readiness_url() -> str:
    host = os.environ.get("SSE_PROXY_ADMIN_HOST") or os.environ.get("SSE_PROXY_HOST") or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - "everywhere" is reached on loopback
    port = os.environ.get("SSE_PROXY_ADMIN_PORT") or "9001"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/readyz"


def _build_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    from vllm_sse_proxy import demo
    from vllm_sse_proxy.config import CoreSettings, ServerSettings

    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="A reverse proxy that mends vLLM's Responses streams, so that strict clients can read them.",
        epilog="Settings: flag, then environment (SSE_PROXY_*), then TOML file (--config), then default.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands = {
        name: subparsers.add_parser(name, help=text, description=text, allow_abbrev=False)
        for name, text in (
            ("serve", "Run the proxy in front of a vLLM server."),
            ("repair", "Mend a recorded stream: broken SSE in, conforming SSE out."),
            ("check", "Judge a recorded stream: one line per violation, exit code 1 if there are any."),
            ("config", "Show, check or describe the settings that serve would run with."),
            ("demo", "Show broken streams before and after, side by side."),
        )
    }
    subparsers.add_parser("healthcheck", help="Ask the admin port whether the proxy is ready.")  # see main()
    _add_settings(commands["serve"], ServerSettings)
    commands["config"].add_argument(
        "action",
        choices=("show", "check", "schema"),
        help="show: every setting as TOML, with where it comes from; check: say what is wrong, exit code 2 if anything is; "
        "schema: the JSON schema of a configuration file",
    )
    _add_settings(commands["config"], ServerSettings)
    for name in ("repair", "check"):
        commands[name].add_argument(
            "file", nargs="?", metavar="FILE", help="stream to read (default: standard input)"
        )
        _add_settings(commands[name], CoreSettings)
    commands["repair"].add_argument(
        "-o", "--output", metavar="FILE", help="where to write (default: standard output)"
    )
    commands["repair"].add_argument(
        "--summary", action="store_true", help="tell on standard error what was mended"
    )
    demo.add_arguments(commands["demo"])
    return parser, commands


def _add_settings(parser: argparse.ArgumentParser, model: type[CoreSettings]) -> None:
    """Add a flag for each setting. Its value stays text: the settings themselves know what is valid."""
    from enum import Enum

    from pydantic_core import PydanticUndefined

    from vllm_sse_proxy.config import REPEATABLE, flag_name

    group = parser.add_argument_group("settings")
    group.add_argument(
        "--config", metavar="FILE", help="TOML file with settings by name (environment: SSE_PROXY_CONFIG)"
    )
    for name, field in model.model_fields.items():
        default = field.default.value if isinstance(field.default, Enum) else field.default
        text = (field.description or "").replace("%", "%%")
        if default not in (PydanticUndefined, None, ()):
            text += f" Default: {str(default).lower() if isinstance(default, bool) else default}."
        options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text}
        kind = field.annotation
        if kind is bool:
            group.add_argument(flag_name(name), action=argparse.BooleanOptionalAction, **options)
        elif name in REPEATABLE:
            metavar = REPEATABLE[name].rpartition("_")[2].upper()
            group.add_argument(flag_name(name), action="append", metavar=metavar, **options)
        elif isinstance(kind, type) and issubclass(kind, Enum):
            group.add_argument(
                flag_name(name), metavar="|".join(str(member.value) for member in kind), **options
            )
        else:
            group.add_argument(flag_name(name), metavar=_placeholder(name), **options)


def _placeholder(name: str) -> str:
    for ending in ("seconds", "bytes", "port", "host", "file", "streams", "workers"):
        if name.endswith(ending):
            return ending.upper()
    return "URL"


def _unknown_arguments(words: list[str], parser: argparse.ArgumentParser) -> list[str]:
    from vllm_sse_proxy.spelling import nearest

    known = [flag for action in parser._actions for flag in action.option_strings]  # noqa: SLF001 - there is no other way
    flags = [word.partition("=")[0] for word in words if word.startswith("-")]
    if not flags:
        return [f"unexpected argument {word}" for word in words]
    return [f"unknown argument {flag}{nearest(flag, known)}" for flag in flags]


def _given(options: argparse.Namespace, model: type[CoreSettings]) -> dict[str, Any]:
    """Return the settings that were given as flags."""
    given = {name: value for name, value in vars(options).items() if name in model.model_fields}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _config(options: argparse.Namespace) -> int:
    import json

    from vllm_sse_proxy.config import ServerSettings, SettingsError, as_toml, load_with_origins

    if options.action == "schema":
        print(json.dumps(ServerSettings.model_json_schema(), indent=2))
        return 0
    try:
        settings, origins = load_with_origins(
            ServerSettings, _given(options, ServerSettings), config_file=options.config
        )
    except SettingsError as error:
        raise UsageError(*error.lines) from None
    print("usable" if options.action == "check" else as_toml(settings, origins).rstrip())
    return 0


def _load(options: argparse.Namespace, model: type[SettingsT]) -> SettingsT:
    from vllm_sse_proxy.config import SettingsError, load

    try:
        return load(model, _given(options, model), config_file=options.config)
    except SettingsError as error:
        raise UsageError(*error.lines) from None


def _serve(options: argparse.Namespace) -> int:
    from vllm_sse_proxy.config import ServerSettings, SettingsError
    from vllm_sse_proxy.server import serve

    try:
        return serve(_load(options, ServerSettings))
    except SettingsError as error:
        raise UsageError(*error.lines) from None


def _repair(options: argparse.Namespace) -> int:
    from vllm_sse_proxy.config import CoreSettings
    from vllm_sse_proxy.families.responses import BodyEnd, StreamNormalizer

    normalizer = StreamNormalizer(_load(options, CoreSettings).plan())
    with ExitStack() as files:
        source = _open_input(options.file, files)
        sink = _open_output(options.output, options.file, files)
        # read1 gives what is there, so that a live stream is mended event by event.
        while not normalizer.ended and (chunk := source.read1(READ_BYTES)):
            sink.write(normalizer.feed(chunk))
            sink.flush()
        sink.write(normalizer.finish(BodyEnd.EOF))
        sink.flush()
    if options.summary:
        print("\n".join(_summary(normalizer)), file=sys.stderr)
    return 0


def _check(options: argparse.Namespace) -> int:
    from vllm_sse_proxy.config import CoreSettings
    from vllm_sse_proxy.families.responses.conformance import check_stream

    settings = _load(options, CoreSettings)
    with ExitStack() as files:
        stream = _open_input(options.file, files).read()
    violations = check_stream(stream, dialect=settings.dialect)
    for violation in violations:
        print(violation)
    sys.stdout.flush()
    print(f"{len(violations)} violations" if violations else "conforming", file=sys.stderr)
    return 1 if violations else 0


def _summary(normalizer: StreamNormalizer) -> list[str]:
    tally = normalizer.tally
    lines = [f"{tally.events_in} events read, {tally.events_out} written", f"ending: {normalizer.ending}"]
    for text, count in (
        ("renumbered", tally.events_renumbered),
        ("made up", tally.events_synthesised),
        ("dropped", tally.events_dropped),
    ):
        lines += [f"{text}: {count}"] if count else []
    lines += [f"repair {name}: {count}" for name, count in tally.repairs.items() if count]
    lines += [f"repair {name} failed: {count}" for name, count in tally.repair_failures.items() if count]
    return lines


def _open_input(path: str | None, files: ExitStack) -> BufferedReader:
    if path is None or path == "-":
        return cast("BufferedReader", sys.stdin.buffer)
    try:
        return files.enter_context(Path(path).open("rb"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None


def _open_output(path: str | None, source: str | None, files: ExitStack) -> IO[bytes]:
    if path is None or path == "-":
        return sys.stdout.buffer
    try:
        if source is not None and Path(path).exists() and Path(path).samefile(source):
            raise UsageError(f"{path}: is the input; it would be gone before it is read")
        return files.enter_context(Path(path).open("wb"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None

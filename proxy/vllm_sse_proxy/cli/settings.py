"""Settings on the command line: a flag for each."""

from __future__ import annotations

import argparse
from enum import Enum
from typing import Any

from vllm_sse_proxy.settings import REPEATABLE, CoreSettings, flag_name, settings_of


def add_settings(parser: argparse.ArgumentParser, model: type[CoreSettings]) -> None:
    """Add a flag for each setting, behind the command's own arguments.

    A flag's value stays text: the settings themselves know what is valid.
    """
    parser.usage = _short_usage(parser)
    group = parser.add_argument_group("settings")
    group.add_argument(
        "--config", metavar="FILE", help="TOML file with settings by name (environment: SSE_PROXY_CONFIG)"
    )
    for name, setting in settings_of(model).items():
        default = setting.default.value if isinstance(setting.default, Enum) else setting.default
        text = setting.description.replace("%", "%%")
        if default not in (None, ()):
            text += f" Default: {str(default).lower() if isinstance(default, bool) else default}."
        options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text}
        kind = setting.kind
        if kind is bool:
            group.add_argument(flag_name(name), action=argparse.BooleanOptionalAction, **options)
        elif name in REPEATABLE:
            metavar = REPEATABLE[name].rpartition("_")[2].upper()
            group.add_argument(flag_name(name), action="append", metavar=metavar, **options)
        elif isinstance(kind, type) and issubclass(kind, Enum):
            metavar = "|".join(str(member.value) for member in kind)
            group.add_argument(flag_name(name), metavar=metavar, **options)
        else:
            group.add_argument(flag_name(name), metavar=_placeholder(name), **options)


def _short_usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage of a command's own arguments, without 40 flags of settings, which an error would drown in."""
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    return f"{usage}\n       [--config FILE] [--SETTING VALUE ...]".replace("%", "%%")


def flags_of(options: argparse.Namespace, model: type[CoreSettings]) -> dict[str, Any]:
    """Return the settings that were given as flags, by name."""
    known = settings_of(model)
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(options).items()
        if name in known
    }


def _placeholder(name: str) -> str:
    for ending in ("seconds", "bytes", "port", "host", "file", "streams", "workers"):
        if name.endswith(ending):
            return ending.upper()
    return "DIR" if name == "record" else "URL"

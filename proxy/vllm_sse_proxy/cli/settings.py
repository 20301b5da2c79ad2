"""Settings on the command line: a flag for each, and the values that result from all sources."""

from __future__ import annotations

import argparse
from enum import Enum
from typing import Any, TypeVar

from pydantic_core import PydanticUndefined

from vllm_sse_proxy.cli.usage import UsageError
from vllm_sse_proxy.config import REPEATABLE, CoreSettings, SettingsError, flag_name, load_with_origins

SettingsT = TypeVar("SettingsT", bound=CoreSettings)


def add_settings(parser: argparse.ArgumentParser, model: type[CoreSettings]) -> None:
    """Add a flag for each setting, behind the command's own arguments.

    A flag's value stays text: the settings themselves know what is valid.
    """
    parser.usage = _short_usage(parser)
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
            metavar = "|".join(str(member.value) for member in kind)
            group.add_argument(flag_name(name), metavar=metavar, **options)
        else:
            group.add_argument(flag_name(name), metavar=_placeholder(name), **options)


def _short_usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage of a command's own arguments, without 40 flags of settings, which an error would drown in."""
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    return f"{usage}\n       [--config FILE] [--SETTING VALUE ...]".replace("%", "%%")


def load(options: argparse.Namespace, model: type[SettingsT]) -> SettingsT:
    """Return the settings alone; see :func:`load_with_origins_of`."""
    return load_with_origins_of(options, model)[0]


def load_with_origins_of(
    options: argparse.Namespace, model: type[SettingsT]
) -> tuple[SettingsT, dict[str, str]]:
    """Return the settings that result from the flags and all other sources, and where each value comes from.

    :raises UsageError: they cannot be used.
    """
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(options).items()
        if name in model.model_fields
    }
    try:
        return load_with_origins(model, given, config_file=options.config)
    except SettingsError as error:
        raise UsageError(*error.lines) from None


def _placeholder(name: str) -> str:
    for ending in ("seconds", "bytes", "port", "host", "file", "streams", "workers"):
        if name.endswith(ending):
            return ending.upper()
    return "DIR" if name == "record" else "URL"

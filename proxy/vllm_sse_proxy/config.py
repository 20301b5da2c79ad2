"""Reading the settings: where a value comes from, and whether it can be used.

Precedence: flag > environment (``SSE_PROXY_*``) > TOML file (``--config FILE`` or ``SSE_PROXY_CONFIG``) > default. An unknown
key is an error that names the nearest known one: a misspelt setting that is silently ignored is the worst kind.

What can be set is in :mod:`vllm_sse_proxy.settings`; from there pydantic's models are made, to which this module adds what
only a look at the value shows.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator
from yarl import URL

from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.settings import (
    UNIX,
    CoreSettings,
    ServerSettings,
    SettingsError,
    flag_name,
    settings_of,
)
from vllm_sse_proxy.spelling import nearest
from vllm_sse_proxy.stream.plan import check_enabled, check_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from vllm_sse_proxy.settings import Setting, SettingsT

ENV_PREFIX = "SSE_PROXY_"
CONFIG_VARIABLE = ENV_PREFIX + "CONFIG"

# RFC 1123, section 2.1, and the underscore, which names of containers have.
_NAME_PART = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253

_LONGEST_SOCKET_PATH = 107  # sun_path without its last byte, on Linux

_ALL_ADDRESSES = {"0.0.0.0", "::"}  # noqa: S104 - compared, not listened on

# What Kubernetes injects into every pod of a namespace with a Service called "sse-proxy".
_SERVICE_LINK = re.compile(ENV_PREFIX + r"(SERVICE_(HOST|PORT.*)|PORT_\d+_(TCP|UDP|SCTP).*)")
_SERVICE_LINK_ADVICE = (
    "a Kubernetes service link, injected because a Service has the name of our prefix: "
    "set enableServiceLinks: false in the pod, or rename the Service"
)


class _CheckedCore(BaseModel):
    """What is checked of :class:`CoreSettings`."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True
    )  # the upstream URL may hold a password

    @field_validator("disable_repairs", "enable_repairs", mode="before", check_fields=False)
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return _split_each(value)

    @field_validator("disable_repairs", check_fields=False)
    @classmethod
    def _know_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_names(FAMILIES, value)
        return value

    @field_validator("enable_repairs", check_fields=False)
    @classmethod
    def _know_enabled(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_enabled(FAMILIES, value)
        return value


class _CheckedServer(_CheckedCore):
    """What is checked of :class:`ServerSettings`."""

    @field_validator("port", "admin_port", mode="before", check_fields=False)
    @classmethod
    def _explain_service_link(cls, value: Any) -> Any:
        if isinstance(value, str) and "://" in value:
            raise ValueError(f"{value!r} is {_SERVICE_LINK_ADVICE}")
        return value

    @field_validator("allow_paths", mode="before", check_fields=False)
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("trusted_proxies", mode="before", check_fields=False)
    @classmethod
    def _split_networks(cls, value: Any) -> Any:
        return _split_each(value)

    @field_validator("trusted_proxies", check_fields=False)
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"{error}; examples: 10.0.0.1, 10.0.0.0/8, fd00::/8") from None
        return value

    @field_validator("allow_paths", check_fields=False)
    @classmethod
    def _check_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if not path.startswith("/") or "*" in path[:-1]:
                raise ValueError(f"{path!r} must begin with / and may have * only at its end")
        return value

    @field_validator("host", "admin_host", check_fields=False)
    @classmethod
    def _check_hosts(cls, value: str | None) -> str | None:
        return None if value is None else checked_host(value)

    @field_validator("upstream", check_fields=False)
    @classmethod
    def _check_upstream(cls, value: str) -> str:
        if value.startswith(UNIX):
            return _checked_socket(value)
        if _has_space(value):
            raise ValueError(
                "has a space, or a character that is not printed, in it; an example: http://127.0.0.1:8000"
            )
        try:
            url = URL(value)
            port = url.port
        except ValueError as error:
            why = " whose port is from 1 to 65535" if "ort" in str(error) else ""
            raise ValueError(f"is not a URL{why}; an example: http://127.0.0.1:8000") from None
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError(
                "must start with http:// or https:// and a host, or be unix: and the path of a socket; "
                "an example: http://127.0.0.1:8000"
            )
        if not _is_host(url.raw_host or ""):
            raise ValueError("has a host that no name or address can be; an example: http://127.0.0.1:8000")
        if not port:
            raise ValueError("has a port that cannot be connected to")
        if url.raw_query_string or url.raw_fragment:
            raise ValueError("must not have a query or a fragment: requests bring their own")
        return value.rstrip("/")


def _checker(model: type[CoreSettings], base: type[BaseModel]) -> type[BaseModel]:
    """Return the pydantic model of a group of settings."""
    fields: dict[str, Any] = {
        name: (setting.kind, _pydantic_field(setting)) for name, setting in settings_of(model).items()
    }
    return create_model(model.__name__, __base__=base, **fields)


def _pydantic_field(setting: Setting) -> Any:
    bounds: dict[str, Any] = dict(setting.bounds)
    if setting.kind is float:
        bounds["allow_inf_nan"] = False
    default = ... if setting.is_required else setting.default
    return Field(default, description=setting.description, **bounds)


_CHECKERS: Final = {
    CoreSettings: _checker(CoreSettings, _CheckedCore),
    ServerSettings: _checker(ServerSettings, _CheckedServer),
}

_Fault = tuple[tuple[str, ...], str]
"""Names of settings that do not go together, and why."""


def _faults_of(settings: CoreSettings) -> Iterator[_Fault]:
    """Find what is wrong with settings of which each is right by itself."""
    if not isinstance(settings, ServerSettings):
        return
    host, port, admin_port = settings.host, settings.port, settings.admin_port
    if 0 < port == admin_port and _overlap(host, settings.admin_address):
        yield ("port", "admin_port"), f"both are {port}, at the same address"
    url = settings.upstream_base
    if (
        settings.upstream_socket is None
    ):  # are requests sent back to the proxy itself, as far as the addresses show it?
        own = ("port", host, port), ("admin_port", settings.admin_address, admin_port)
        for setting, address, number in own:
            if number == url.port and _is_reached_by(address, url.host or ""):
                yield ("upstream",), f"is this proxy itself, whose {setting} is {number}"
    if settings.upstream_ca_file is not None and not settings.upstream.startswith("https://"):
        why = "only an https:// upstream has a certificate that can be verified"
        yield ("upstream_ca_file", "upstream"), why
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        yield ("tls_cert_file", "tls_key_file"), "each needs the other"
    if settings.upstream_api_key_file is not None and URL(settings.upstream).raw_authority.find("@") >= 0:
        yield ("upstream", "upstream_api_key_file"), "each has credentials; give one of them"


def checked_host(value: str) -> str:
    """Return an address to listen on, without brackets.

    :raises ValueError: it is none, and has not the form of a name either; the message is the rest of a sentence.
    """
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if not _is_host(bare):
        raise ValueError(
            "is not an address: 127.0.0.1 listens on loopback, 0.0.0.0 on all IPv4 addresses, :: on all IPv6 addresses"
        )
    return bare


def _checked_socket(value: str) -> str:
    """Return the address of a Unix socket, with one slash after the colon.

    :raises ValueError: it is none that can be connected to.
    """
    path = re.sub("^/+", "/", value.removeprefix(UNIX))
    if not path.startswith("/") or path.endswith("/") or not path.isprintable():
        raise ValueError("must have the whole path of a socket after unix:; an example: unix:/run/vllm.sock")
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise ValueError(
            f"has a path that is longer than the {_LONGEST_SOCKET_PATH} bytes of a Unix socket's"
        )
    return UNIX + path


def _has_space(value: str) -> bool:
    """Return whether a value has white space or control characters in it, which no host has."""
    return any(character.isspace() or not character.isprintable() for character in value)


def _is_host(value: str) -> bool:
    """Return whether a value is an address, or has the form of a host's name. Names of containers may have underscores."""
    name = value.removesuffix(".")
    return _is_address(value) or (
        len(name) <= _LONGEST_NAME and all(_NAME_PART.fullmatch(part) for part in name.split("."))
    )


def _overlap(one: str, other: str) -> bool:
    """Return whether two hosts have an address in common, as far as their names show it."""
    return any(
        first == second
        or ((":" in first) == (":" in second) and not {first, second}.isdisjoint(_ALL_ADDRESSES))
        for first, second in product(_addresses(one), _addresses(other))
    )


def _is_reached_by(host: str, name: str) -> bool:
    """Return whether who listens on a host is reached by a name, as far as the two show it."""
    own = (each for each in _addresses(name) if _is_address(each) and _is_of_this_machine(each))
    return host == name or any(_overlap(host, each) for each in own)


def _is_of_this_machine(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_unspecified


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _addresses(host: str) -> tuple[str, ...]:
    return ("127.0.0.1", "::1") if host == "localhost" else (host,)


def load(
    model: type[SettingsT],
    flags: Mapping[str, Any],
    *,
    config_file: str | None = None,
    ignored: Collection[str] = (),
) -> SettingsT:
    """Return the settings alone; see :func:`load_with_origins`."""
    return load_with_origins(model, flags, config_file=config_file, ignored=ignored)[0]


def load_with_origins(
    model: type[SettingsT],
    flags: Mapping[str, Any],
    *,
    config_file: str | None = None,
    ignored: Collection[str] = (),
) -> tuple[SettingsT, dict[str, str]]:
    """Merge flags, environment, TOML file and defaults; return the settings and where each value comes from.

    :param model: :class:`ServerSettings` or :class:`CoreSettings`; keys that only the other one has are known, and ignored.
    :param flags: field name → value, only those given on the command line.
    :param config_file: path of a TOML file; without it, the one that ``SSE_PROXY_CONFIG`` names.
    :param ignored: names of settings that mean nothing to the caller: known, and left at their defaults unread.
    :return: the settings, and field name → flag, variable or file as the operator spelt it; a default has no entry.
    :raises SettingsError: an unknown key, a value that cannot be used, or a file that cannot be read.
    """
    path = config_file or os.environ.get(CONFIG_VARIABLE)
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("file", _read_file(path) if path else {}),
        ("environment", _read_environment()),
        ("flag", flags),
    ]
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    known = settings_of(model)
    for source, layer in layers:
        for name, value in layer.items():
            if name in known and name not in ignored:
                values[name] = value
                origin[name] = _spell(name, source, path)
    return checked(model, values, origin), origin


def checked(
    model: type[SettingsT], values: Mapping[str, Any], origin: Mapping[str, str] | None = None
) -> SettingsT:
    """Return settings of which the values are checked.

    :param origin: field name → what the operator calls it; by default its name.
    :raises SettingsError: a value is missing or cannot be used, or does not go with another.
    """
    names = origin or {}
    try:
        found = _CHECKERS[model](**values)
    except ValidationError as error:
        raise SettingsError([_explain(fault, names) for fault in error.errors(include_input=False)]) from None
    settings = model(**{name: getattr(found, name) for name in settings_of(model)})
    fault = next(_faults_of(settings), None)
    if fault is not None:
        raise SettingsError([_fault_line(*fault, names)])
    return settings


def schema() -> dict[str, Any]:
    """Return the JSON schema of a configuration file."""
    return _CHECKERS[ServerSettings].model_json_schema()


def as_toml(settings: ServerSettings, origins: Mapping[str, str]) -> str:
    """Render settings as a TOML file, each with its origin; credentials in the upstream URL are left out."""
    lines = []
    for name in settings_of(ServerSettings):
        value = settings.shown_upstream if name == "upstream" else getattr(settings, name)
        origin = origins.get(name, "default")
        if name == "upstream" and value != settings.upstream:
            origin += "; its user and password are not shown"
        lines.append(
            f"# {name} is not set" if value is None else f"{name} = {_toml_value(value)}  # {origin}"
        )
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    # A JSON string, number, boolean or list of strings is a TOML one, once DEL is escaped too.
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _split_each(value: Any) -> Any:
    """Split a value, and each of the values of a flag that was repeated."""
    if isinstance(value, (list, tuple)):
        return tuple(part for each in value for part in (_split(each) if isinstance(each, str) else (each,)))
    return _split(value)


def _read_file(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - errors show the path as the operator spelt it
            values = tomllib.load(file)
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror or error}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not TOML: {error}"]) from None
    known = list(settings_of(ServerSettings))
    unknown = [f"{path}: unknown setting {key!r}{nearest(key, known)}" for key in values if key not in known]
    if unknown:
        raise SettingsError(unknown)
    return values


def _read_environment() -> dict[str, Any]:
    known = [ENV_PREFIX + field.upper() for field in settings_of(ServerSettings)] + [CONFIG_VARIABLE]
    unknown = []
    for variable in os.environ:
        name = variable.upper()
        if name.startswith(ENV_PREFIX) and name not in known:
            advice = (
                f": {_SERVICE_LINK_ADVICE}"
                if _SERVICE_LINK.fullmatch(name)
                else nearest(name, known, prefix=ENV_PREFIX)
            )
            unknown.append(f"unknown environment variable {variable}{advice}")
    if unknown:
        raise SettingsError(unknown)
    names = settings_of(ServerSettings)
    given = {variable.upper(): value for variable, value in os.environ.items()}
    # compose files forward unset variables as empty ones
    return {name: value for name in names if (value := given.get(ENV_PREFIX + name.upper()))}


def _spell(name: str, source: str, path: str | None) -> str:
    match source:
        case "flag":
            return flag_name(name)
        case "environment":
            return ENV_PREFIX + name.upper()
        case _:
            return f"{path}: {name}"


def _explain(fault: Any, origin: Mapping[str, str]) -> str:
    name = str(fault["loc"][0])
    if fault["type"] == "missing":
        variable = ENV_PREFIX + name.upper()
        return f"{name} is required: give {flag_name(name)}, {variable}, or {name} in the configuration file"
    return _fault_line((name,), fault["msg"].removeprefix("Value error, "), origin)


def _fault_line(names: tuple[str, ...], message: str, origin: Mapping[str, str]) -> str:
    return f"{', '.join(origin.get(each, each) for each in names)}: {message[:1].lower()}{message[1:]}"

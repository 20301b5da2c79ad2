"""Settings: what can be set, the default and its reason, and where a value came from.

Precedence: flag > environment (``SSE_PROXY_*``) > TOML file (``--config FILE`` or ``SSE_PROXY_CONFIG``) > default. An unknown
key is an error that names the nearest known one: a misspelt setting that is silently ignored is the worst kind.

:class:`CoreSettings` steers the repairs and is shared by ``serve``, ``repair`` and ``check``; :class:`ServerSettings` adds
what only a server needs. A field's description is its documentation: ``--help`` and docs/configuration.md are made from it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import re
import tomllib
from enum import StrEnum
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from yarl import URL

from vllm_sse_proxy.families import FAMILIES, RESPONSES
from vllm_sse_proxy.families.chat.settings import ChatReasoning
from vllm_sse_proxy.families.responses import Dialect, NestedNumbers, Reasoning
from vllm_sse_proxy.families.transcriptions.settings import Transcripts
from vllm_sse_proxy.spelling import nearest
from vllm_sse_proxy.stream.plan import Plan, check_enabled, check_names, corrections_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from vllm_sse_proxy.stream.family import Family

ENV_PREFIX = "SSE_PROXY_"
CONFIG_VARIABLE = ENV_PREFIX + "CONFIG"

MIB = 1024 * 1024

_VERSION = "/v1"

# RFC 1123, section 2.1, and the underscore, which names of containers have.
_NAME_PART = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253

_UNIX = "unix:"
_SOCKET_AUTHORITY = "http://localhost"  # what Host says to a server behind a socket, as curl has it
_LONGEST_SOCKET_PATH = 107  # sun_path without its last byte, on Linux

_ALL_ADDRESSES = {"0.0.0.0", "::"}  # noqa: S104 - compared, not listened on

# What Kubernetes injects into every pod of a namespace with a Service called "sse-proxy".
_SERVICE_LINK = re.compile(ENV_PREFIX + r"(SERVICE_(HOST|PORT.*)|PORT_\d+_(TCP|UDP|SCTP).*)")
_SERVICE_LINK_ADVICE = (
    "a Kubernetes service link, injected because a Service has the name of our prefix: "
    "set enableServiceLinks: false in the pod, or rename the Service"
)


class SettingsError(Exception):
    """The operator's settings cannot be used; ``lines`` says why, one fault per line, without any secret."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Mode(StrEnum):
    """What the proxy does about a broken stream."""

    NORMAL = "normal"
    OBSERVE = "observe"


class KeepAlive(StrEnum):
    """What is sent into a silent stream."""

    COMMENT = "comment"
    EVENT = "event"


class LogFormat(StrEnum):
    """How log lines are written."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class Limit(StrEnum):
    """The settings that can end a request, connection or stream: labels of ``sse_proxy_limits_hit_total``.

    A family adds the limits of its streams (:attr:`~vllm_sse_proxy.stream.family.Family.limits`).
    """

    CONNECT = "connect_timeout_seconds"
    FIRST_BYTE = "first_byte_timeout_seconds"
    IDLE = "idle_timeout_seconds"
    REQUEST_HEAD = "request_head_timeout_seconds"
    REQUEST_BODY = "request_body_timeout_seconds"
    CLIENT_WRITE = "client_write_timeout_seconds"
    HEADER_BYTES = "max_header_bytes"
    REQUEST_BODY_BYTES = "max_request_body_bytes"
    STREAMS = "max_streams"


class LogLevel(StrEnum):
    """The least severe log line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveBytes = Annotated[int, Field(gt=0)]


class CoreSettings(BaseSettings):
    """The settings of the repairs: the same for a running proxy and for a file on the command line."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,  # compose files forward unset variables as empty ones
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # the upstream URL may hold a password
    )

    dialect: Dialect = Field(
        Dialect.OPENAI,
        description="Names and fields of the emitted events. openai: those of OpenAI's own API, which every SDK accepts; "
        "open-responses: raw reasoning and lifecycle objects as the Open Responses specification has them; upstream: names "
        "stay as upstream sent them; only shapes, ids, numbers and closing events are repaired.",
    )
    reasoning: Reasoning = Field(
        Reasoning.AUTO,
        description="How raw reasoning text is emitted. auto: as reasoning summary events too where the request asks for "
        "summaries (`reasoning.summary`), as Codex, the AI SDK and LangChain do, which show nothing else; raw: always as it "
        "is; summary: always as summary events too.",
    )
    chat_reasoning: ChatReasoning = Field(
        ChatReasoning.BOTH,
        description="By which names reasoning is emitted in chat completions, where vLLM calls it reasoning_content up to "
        "0.15 and reasoning from 0.11.1 on. both: by both, since some clients read only one, and none that was tested shows "
        "both; reasoning, reasoning_content: by one of them; upstream: as upstream sent it, which leaves every delta of "
        "reasoning untouched.",
    )
    transcripts: Transcripts = Field(
        Transcripts.UPSTREAM,
        description="The form in which streamed transcriptions and translations are emitted. upstream: vLLM's own chunks, "
        "which its examples read and OpenAI's SDKs do not; openai: transcript.text.delta and transcript.text.done, as "
        "OpenAI's API sends them.",
    )
    mode: Mode = Field(
        Mode.NORMAL,
        description="normal: streams are repaired; observe: upstream's bytes are forwarded unchanged and what would have "
        "been repaired is only counted, to try the proxy without risk.",
    )
    disable_repairs: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names of repairs, of streams or of requests, that are switched off (flag: --disable-repair NAME, "
        "repeatable, or comma separated; environment: comma separated). None by default: each repair leaves a conforming "
        "stream and an accepted request untouched. A repair that the others need cannot be switched off: "
        + ", ".join(
            dict.fromkeys(one.name for family in FAMILIES for one in corrections_of(family) if one.needed)
        )
        + ".",
    )
    enable_repairs: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names of repairs that are off by default and switched on (flag: --enable-repair NAME, repeatable, or "
        "comma separated; environment: comma separated): "
        + ", ".join(
            one.name for family in FAMILIES for one in family.request_corrections if not one.is_default
        )
        + ", which changes requests that vLLM accepts (docs/requests.md).",
    )
    nested_sequence_number: NestedNumbers = Field(
        NestedNumbers.RENUMBER,
        description="What happens to a sequence_number inside an item, part or response. renumber: it gets the number of "
        "its event; remove: it is deleted, since no specification has it there.",
    )
    done_sentinel: bool = Field(
        default=True,
        description="Whether a stream ends with `data: [DONE]`. On by default: vLLM sends it, OpenAI does not, and every "
        "client that was tested accepts both.",
    )
    max_frame_bytes: PositiveBytes = Field(
        8 * MIB,
        description="Largest single event, in bytes. A larger one ends the stream visibly. The default is enough for a "
        "final response object with everything that a long context can produce.",
    )
    max_text_bytes: PositiveBytes = Field(
        16 * MIB,
        description="How much of one stream is remembered, in bytes of text and items, to rebuild final objects. Beyond it "
        "the stream ends visibly, so that memory is bounded. The default is enough for four million tokens; a stream that "
        "reaches the limit takes about ten times as much memory for a moment, while its closing events are built.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments only: :func:`load` merges the sources itself, and so knows where each value came from."""
        return (init_settings,)

    @field_validator("disable_repairs", "enable_repairs", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return _split_each(value)

    @field_validator("disable_repairs")
    @classmethod
    def _know_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_names(FAMILIES, value)
        return value

    @field_validator("enable_repairs")
    @classmethod
    def _know_enabled(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_enabled(FAMILIES, value)
        return value

    def plan(self, family: Family = RESPONSES) -> Plan:
        """Build what all streams of a family share: the one place where settings become the core's."""
        return Plan.of(
            family,
            dialect=self.dialect,
            reasoning=self.reasoning,
            chat_reasoning=self.chat_reasoning,
            transcripts=self.transcripts,
            disabled=self.disable_repairs,
            nested_numbers=self.nested_sequence_number,
            done_sentinel=self.done_sentinel,
            observe=self.mode is Mode.OBSERVE,
            max_frame_bytes=self.max_frame_bytes,
            max_text_bytes=self.max_text_bytes,
        )


class ServerSettings(CoreSettings):
    """Everything that ``serve`` needs."""

    upstream: str = Field(
        repr=False,
        description="URL of vLLM: http or https, host, optional port and path prefix. A /v1 at its end is left "
        "out, since the paths of requests bring it. A user and password in it are sent as Basic authorization with requests "
        "that have none, and are never logged. unix:/path/to/socket connects to a Unix socket (vllm serve --uds).",
    )
    upstream_api_key_file: str | None = Field(
        None,
        description="File with the key of vLLM (vllm serve --api-key), and nothing else. It is sent as Bearer "
        "authorization instead of what clients send (Authorization, X-Api-Key, Api-Key), which SDKs always do, if only "
        "with a dummy. So whoever reaches the data port uses this key. Read at the start, on SIGHUP and when the file "
        "changes; never logged.",
    )
    host: str = Field(
        "127.0.0.1",
        description="Address that the data port listens on. Loopback by default, so that nothing is exposed by accident; "
        "the image sets 0.0.0.0, because a container's loopback cannot be reached from outside. :: is all IPv6 addresses, "
        "and no IPv4 address.",
    )
    port: Port = Field(9000, description="Data port; vLLM's own is 8000. 0 takes a free port and logs it.")
    workers: int = Field(
        1,
        ge=0,
        le=1024,
        description="Processes that answer requests, each on a core of its own; 0: one per core. One by default, because "
        "replicas of a container scale just as well and fail separately. More than one needs Linux. They share "
        "max_streams.",
    )
    admin_host: str | None = Field(
        None,
        description="Address that the admin port (/metrics, /livez, /readyz) listens on. The data port's by default.",
    )
    admin_port: Port = Field(
        9001,
        description="Admin port. Separate from the data port, because vLLM's own /metrics and /health are there, and the "
        "proxy's are not for clients. 0 takes a free port and logs it.",
    )
    keepalive_seconds: Seconds = Field(
        15.0,
        description="Silence towards the client after which a keep-alive is sent, in seconds; 0 sends none. 15 is below "
        "the idle limits of common load balancers, 30 s and 60 s.",
    )
    keepalive: KeepAlive = Field(
        KeepAlive.COMMENT,
        description="comment: an SSE comment, invisible to applications; event: a keepalive event, which also resets the "
        "idle timers of Codex (300 s) and LangChain (120 s); comments do not.",
    )
    idle_timeout_seconds: Seconds = Field(
        600.0,
        description="Silence of upstream within an answer after which the answer is given up, in seconds; 0 waits for "
        "ever. Generous: long prefills and some parsers are silent for minutes, and clients have limits of their own.",
    )
    status_poll_seconds: Seconds = Field(
        10.0,
        description="Silence after which the status of a background response is polled (`GET /v1/responses/{id}`), in "
        "seconds, and the time between two polls; 0 never polls. vLLM leaves the stream of a dead or cancelled producer "
        "open for ever; only the status can end it before the idle limit. 10 costs one cheap request per silent stream, "
        "and is long before any client gives up.",
    )
    connect_timeout_seconds: PositiveSeconds = Field(
        5.0,
        description="Time to resolve upstream's name and connect to it, in seconds. The default allows for two lost SYN "
        "packets.",
    )
    first_byte_timeout_seconds: PositiveSeconds = Field(
        600.0,
        description="Time from the last byte of a request to the first byte of upstream's answer, in seconds: an answer "
        "that is not streamed may need all of it. The default is the openai SDK's.",
    )
    client_idle_seconds: PositiveSeconds = Field(
        75.0,
        description="How long a client's unused connection is kept open, in seconds. Longer than the 60 s of common load "
        "balancers, so that they close it first.",
    )
    request_head_timeout_seconds: Seconds = Field(
        20.0,
        description="Time from the first byte of a request to the end of its header, in seconds; 0 waits for "
        "client_idle_seconds. A header is a packet or two, so only a very bad line or an attack (slowloris) takes longer. "
        "The client gets 408.",
    )
    request_body_timeout_seconds: Seconds = Field(
        60.0,
        description="How long a client may be silent within a request's body, in seconds; 0 waits for ever. A body that "
        "trickles in below 500 bytes a second uses up the same time. nginx's default. The client gets 408.",
    )
    client_write_timeout_seconds: Seconds = Field(
        60.0,
        description="How long a client may take nothing of an answer that is ready for it, in seconds; 0 waits for ever. "
        "Then its connection is closed and upstream is released, which would otherwise wait for a client that may be gone. "
        "nginx's default.",
    )
    max_header_bytes: PositiveBytes = Field(
        64 * 1024,
        description="Largest request line and header together, in bytes; at most 128 header lines. Twice what nginx "
        "accepts by default. The client gets 431.",
    )
    max_request_body_bytes: int = Field(
        512 * MIB,
        ge=0,
        description="Largest request body, in bytes; 0 allows any. It is never held whole, except up to "
        "max_request_body_inspect_bytes. The default lets long audio and many images pass and stops an endless upload. The "
        "client gets 413.",
    )
    max_streams: int = Field(
        2000,
        ge=0,
        description="Most requests that are answered at the same time, not counting GET, HEAD and OPTIONS that are not "
        "streams; 0 allows any number. More get 503 with Retry-After. The default is about twice what one vLLM engine runs "
        "at once by default; so many streams take some 100 MiB here, and two file descriptors each.",
    )
    upstream_idle_seconds: PositiveSeconds = Field(
        4.0,
        description="How long an unused connection to upstream is kept open, in seconds. Must be below vLLM's "
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE (5 s), or requests go out on connections that are being closed.",
    )
    max_request_body_inspect_bytes: int = Field(
        8 * MIB,
        ge=0,
        description="Largest body of a request that is read before it is forwarded, in bytes: repairs use what "
        "was asked for, and a body that was read can be sent again. Larger ones are streamed through unread, and are not "
        "repaired if vLLM refuses them; 0 reads none. At /invocations only the body says what is asked for: the "
        "answer to one that was not read passes through.",
    )
    item_memory_bytes: int = Field(
        64 * MIB,
        ge=0,
        description="How much is kept of the items of emitted responses, in bytes, so that requests can be completed that "
        "only name them (`item_reference`: every second turn of the AI SDK); 0 keeps nothing. They are kept for a day at "
        "most, in the memory of each worker, apart by credential, and not for requests with `store: false`. The default "
        "holds some ten thousand turns.",
    )
    upstream_ca_file: str | None = Field(
        None,
        description="File with the authorities (PEM) that are trusted to certify upstream, instead of the system's. For an "
        "https upstream, whose certificate is always verified, including its name.",
    )
    tls_cert_file: str | None = Field(
        None,
        description="Certificate chain (PEM) of the data port, which then speaks TLS; needs tls_key_file. Plain HTTP by "
        "default: most installations terminate TLS in front. Read at the start, on SIGHUP and when the file changes; the "
        "admin port stays plain.",
    )
    tls_key_file: str | None = Field(None, description="Private key (PEM, not encrypted) of tls_cert_file.")
    allow_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Paths that are forwarded (flag: --allow-path PATH, repeatable; environment: comma separated); a final "
        "* stands for any rest. All others get 404. By default every path is forwarded, as a drop-in replacement must; but "
        "vLLM's key protects only /v1, /v2, /inference and /cohere, so where clients are not trusted, allow what they "
        "need, such as /v1/*.",
    )
    preserve_host: bool = Field(
        default=False,
        description="Whether upstream gets the client's Host header instead of its own authority. Off, because name-based "
        "routing in front of vLLM expects vLLM's name.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses and networks of proxies in front, such as 10.0.0.0/8 (flag: repeatable, or comma separated; "
        "environment: comma separated). Where one of them connects, client_ip in log lines is taken from its "
        "X-Forwarded-For. None by default: anybody could write that header.",
    )
    look_at_upstream: bool = Field(
        default=True,
        description="Whether upstream is asked for /version and /v1/models when the proxy starts, and the answer is logged. "
        "Nothing depends on it.",
    )
    otel: bool = Field(
        default=False,
        description="Whether each stream becomes a span of OpenTelemetry, with its family, ending and repairs, as a child of "
        "what the client's traceparent names. Needs the extra: pip install 'vllm-sse-proxy[otel]'. Where spans go is said by "
        "OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT.",
    )
    drain_delay_seconds: Seconds = Field(
        5.0,
        description="How long after SIGTERM connections are still accepted while /readyz answers 503, in seconds: load "
        "balancers need that long to notice. Ctrl-C skips it.",
    )
    drain_timeout_seconds: Seconds = Field(
        20.0,
        description="How long after that open requests may still finish, in seconds; the rest is ended visibly. Together "
        "with the delay it stays within Kubernetes' default grace period of 30 s; raise both for long answers.",
    )
    record: str | None = Field(
        None,
        description="Folder into which streams are recorded, for support and for tests: the request, upstream's stream and "
        "the client's, so everything that users write and models answer, and never a credential (docs/recording.md). "
        "Nothing is recorded by default.",
    )
    record_max_streams: int = Field(
        1000, gt=0, description="Most recordings that are kept; the oldest are removed."
    )
    record_max_bytes: PositiveBytes = Field(
        256 * MIB, description="Most bytes that the recordings may take together; the oldest are removed."
    )
    log_level: LogLevel = Field(
        LogLevel.INFO,
        description="Least severe log line that is written. info includes one line per request; debug adds a stream's "
        "beginning, its first bytes, its repairs and its end, and connections to upstream.",
    )
    log_format: LogFormat = Field(
        LogFormat.AUTO,
        description="json: one object per line, for collectors; text: for people; auto: text where standard output, to which "
        "log lines go, is a terminal, and json elsewhere.",
    )

    @field_validator("port", "admin_port", mode="before")
    @classmethod
    def _explain_service_link(cls, value: Any) -> Any:
        if isinstance(value, str) and "://" in value:
            raise ValueError(f"{value!r} is {_SERVICE_LINK_ADVICE}")
        return value

    @field_validator("allow_paths", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: Any) -> Any:
        return _split_each(value)

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"{error}; examples: 10.0.0.1, 10.0.0.0/8, fd00::/8") from None
        return value

    @field_validator("allow_paths")
    @classmethod
    def _check_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if not path.startswith("/") or "*" in path[:-1]:
                raise ValueError(f"{path!r} must begin with / and may have * only at its end")
        return value

    @field_validator("host", "admin_host")
    @classmethod
    def _check_hosts(cls, value: str | None) -> str | None:
        return None if value is None else checked_host(value)

    @model_validator(mode="after")
    def _check_ports(self) -> ServerSettings:
        if 0 < self.port == self.admin_port and _overlap(self.host, self.admin_address):
            raise _fault_of("port", "admin_port", message=f"both are {self.port}, at the same address")
        return self

    @model_validator(mode="after")
    def _check_loop(self) -> ServerSettings:
        """Check that requests are not sent back to the proxy itself, as far as the addresses show it."""
        url = self.upstream_base
        if self.upstream_socket is None:
            own = ("port", self.host, self.port), ("admin_port", self.admin_address, self.admin_port)
            for setting, host, port in own:
                if port == url.port and _is_reached_by(host, url.host or ""):
                    raise _fault_of("upstream", message=f"is this proxy itself, whose {setting} is {port}")
        return self

    @model_validator(mode="after")
    def _check_authorities(self) -> ServerSettings:
        if self.upstream_ca_file is not None and not self.upstream.startswith("https://"):
            raise _fault_of(
                "upstream_ca_file",
                "upstream",
                message="only an https:// upstream has a certificate that can be verified",
            )
        return self

    @model_validator(mode="after")
    def _check_pair(self) -> ServerSettings:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise _fault_of("tls_cert_file", "tls_key_file", message="each needs the other")
        return self

    @model_validator(mode="after")
    def _check_credentials(self) -> ServerSettings:
        if self.upstream_api_key_file is not None and URL(self.upstream).raw_authority.find("@") >= 0:
            raise _fault_of(
                "upstream", "upstream_api_key_file", message="each has credentials; give one of them"
            )
        return self

    @field_validator("upstream")
    @classmethod
    def _check_upstream(cls, value: str) -> str:
        if value.startswith(_UNIX):
            return _checked_socket(value)
        if _has_space(value):
            raise ValueError("has a space in it; an example: http://127.0.0.1:8000")
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

    @property
    def upstream_socket(self) -> str | None:
        """The path of the Unix socket that upstream listens on; None: it has a host."""
        return self.upstream.removeprefix(_UNIX) if self.upstream.startswith(_UNIX) else None

    @property
    def upstream_base(self) -> URL:
        """Upstream's URL without the ``/v1`` that clients' base URLs end with: the paths of requests have it already."""
        url = URL(_SOCKET_AUTHORITY if self.upstream_socket else self.upstream)
        path = url.raw_path.rstrip("/")
        return url.with_path(path.removesuffix(_VERSION), encoded=True) if path.endswith(_VERSION) else url

    @property
    def has_version_in_upstream(self) -> bool:
        """Whether upstream's URL ends with that ``/v1``."""
        return self.upstream_socket is None and URL(self.upstream).raw_path.rstrip("/").endswith(_VERSION)

    @property
    def shown_upstream(self) -> str:
        """Upstream's URL without credentials, fit for logs and messages."""
        return self.upstream if self.upstream_socket else str(URL(self.upstream).with_user(None)).rstrip("/")

    @property
    def upstream_name(self) -> str:
        """Upstream's URL without credentials, and where it is on this machine, on which: another one has its own there."""
        host = URL(self.upstream).host
        is_local = host is None or host == "localhost" or host.startswith("127.") or host == "::1"
        return f"{self.shown_upstream} on {platform.node()}" if is_local else self.shown_upstream

    @property
    def admin_address(self) -> str:
        """The address the admin port listens on."""
        return self.host if self.admin_host is None else self.admin_host

    @property
    def admin_host_setting(self) -> str:
        """The name of the setting that has that address."""
        return "host" if self.admin_host is None else "admin_host"


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
    path = re.sub("^/+", "/", value.removeprefix(_UNIX))
    if not path.startswith("/") or path.endswith("/") or not path.isprintable():
        raise ValueError("must have the whole path of a socket after unix:; an example: unix:/run/vllm.sock")
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise ValueError(
            f"has a path that is longer than the {_LONGEST_SOCKET_PATH} bytes of a Unix socket's"
        )
    return _UNIX + path


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


def _fault_of(*settings: str, message: str) -> PydanticCustomError:
    """Return a fault of several settings together."""
    return PydanticCustomError("together", "{message}", {"settings": settings, "message": message})


REPEATABLE = {
    "disable_repairs": "disable_repair",
    "enable_repairs": "enable_repair",
    "allow_paths": "allow_path",
    "trusted_proxies": "trusted_proxies",
}
"""Settings with several values: the name of their flag, which is given once for each value."""

SettingsT = TypeVar("SettingsT", bound=CoreSettings)


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
    for source, layer in layers:
        for name, value in layer.items():
            if name in model.model_fields and name not in ignored:
                values[name] = value
                origin[name] = _spell(name, source, path)
    try:
        return model(**values), origin
    except ValidationError as error:
        raise SettingsError(
            [_explain(fault, origin) for fault in error.errors(include_input=False)]
        ) from None


def as_toml(settings: ServerSettings, origins: Mapping[str, str]) -> str:
    """Render settings as a TOML file, each with its origin; credentials in the upstream URL are left out."""
    lines = []
    for name in ServerSettings.model_fields:
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


def flag_name(field: str) -> str:
    """Spell a field as its command line flag."""
    return "--" + REPEATABLE.get(field, field).replace("_", "-")


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
    known = list(ServerSettings.model_fields)
    unknown = [f"{path}: unknown setting {key!r}{nearest(key, known)}" for key in values if key not in known]
    if unknown:
        raise SettingsError(unknown)
    return values


def _read_environment() -> dict[str, Any]:
    known = [ENV_PREFIX + field.upper() for field in ServerSettings.model_fields] + [CONFIG_VARIABLE]
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
    return EnvSettingsSource(ServerSettings)()


def _spell(name: str, source: str, path: str | None) -> str:
    match source:
        case "flag":
            return flag_name(name)
        case "environment":
            return ENV_PREFIX + name.upper()
        case _:
            return f"{path}: {name}"


def _explain(fault: Any, origin: Mapping[str, str]) -> str:
    names = (str(fault["loc"][0]),) if fault["loc"] else fault["ctx"]["settings"]
    name = names[0]
    if fault["type"] == "missing":
        variable = ENV_PREFIX + name.upper()
        return f"{name} is required: give {flag_name(name)}, {variable}, or {name} in the configuration file"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{', '.join(origin.get(each, each) for each in names)}: {message[:1].lower()}{message[1:]}"

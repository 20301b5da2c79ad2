"""Settings: what can be set, the default and its reason.

:class:`CoreSettings` steers the repairs and is shared by ``serve``, ``repair`` and ``check``; :class:`ServerSettings` adds
what only a server needs. A field's description is its documentation: ``--help`` and docs/configuration.md are made from it.

They are plain values: :mod:`vllm_sse_proxy.config` reads and checks them, with pydantic, which a server needs for a moment
at its start and then would keep ten megabytes for (issue 17).
"""

from __future__ import annotations

import dataclasses
import platform
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_type_hints

from yarl import URL

from vllm_sse_proxy.families import FAMILIES, RESPONSES
from vllm_sse_proxy.families.chat.settings import ChatReasoning
from vllm_sse_proxy.families.responses import Dialect, NestedNumbers, Reasoning
from vllm_sse_proxy.families.transcriptions.settings import Transcripts
from vllm_sse_proxy.stream.plan import Plan, corrections_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.stream.family import Family

MIB: Final = 1024 * 1024

UNIX: Final = "unix:"
"""How the address of a Unix socket begins."""
_SOCKET_AUTHORITY: Final = "http://localhost"  # what Host says to a server behind a socket, as curl has it
_VERSION: Final = "/v1"


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


@dataclass(frozen=True, slots=True)
class Setting:
    """What there is to know about a setting.

    :ivar kind: its type.
    :ivar default: None, too, where it is required.
    :ivar bounds: what pydantic's ``Field`` calls so: ``ge``, ``gt``, ``le``.
    """

    kind: Any
    default: Any
    is_required: bool
    description: str
    bounds: Mapping[str, float]


def setting(
    default: Any = dataclasses.MISSING, *, description: str, is_shown: bool = True, **bounds: float
) -> Any:
    """Declare a setting; one without a default is required.

    :param is_shown: not where it may hold a password.
    """
    metadata = {"description": description, "bounds": bounds}
    return dataclasses.field(default=default, repr=is_shown, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class CoreSettings:
    """The settings of the repairs: the same for a running proxy and for a file on the command line."""

    dialect: Dialect = setting(
        Dialect.OPENAI,
        description="Names and fields of the emitted events. openai: those of OpenAI's own API, which every SDK accepts; "
        "open-responses: raw reasoning and lifecycle objects as the Open Responses specification has them; upstream: names "
        "stay as upstream sent them; only shapes, ids, numbers and closing events are repaired.",
    )
    reasoning: Reasoning = setting(
        Reasoning.AUTO,
        description="How raw reasoning text is emitted. auto: as reasoning summary events too where the request asks for "
        "summaries (`reasoning.summary`), as Codex, the AI SDK and LangChain do, which show nothing else; raw: always as it "
        "is; summary: always as summary events too.",
    )
    chat_reasoning: ChatReasoning = setting(
        ChatReasoning.BOTH,
        description="By which names reasoning is emitted in chat completions, where vLLM calls it reasoning_content up to "
        "0.15 and reasoning from 0.11.1 on. both: by both, since some clients read only one, and none that was tested shows "
        "both; reasoning, reasoning_content: by one of them; upstream: as upstream sent it, which leaves every delta of "
        "reasoning untouched.",
    )
    transcripts: Transcripts = setting(
        Transcripts.UPSTREAM,
        description="The form in which streamed transcriptions and translations are emitted. upstream: vLLM's own chunks, "
        "which its examples read and OpenAI's SDKs do not; openai: transcript.text.delta and transcript.text.done, as "
        "OpenAI's API sends them.",
    )
    mode: Mode = setting(
        Mode.NORMAL,
        description="normal: streams are repaired; observe: upstream's bytes are forwarded unchanged and what would have "
        "been repaired is only counted, to try the proxy without risk.",
    )
    disable_repairs: tuple[str, ...] = setting(
        (),
        description="Names of repairs, of streams or of requests, that are switched off (flag: --disable-repair NAME, "
        "repeatable, or comma separated; environment: comma separated). None by default: each repair leaves a conforming "
        "stream and an accepted request untouched. A repair that the others need cannot be switched off: "
        + ", ".join(
            dict.fromkeys(one.name for family in FAMILIES for one in corrections_of(family) if one.needed)
        )
        + ".",
    )
    enable_repairs: tuple[str, ...] = setting(
        (),
        description="Names of repairs that are off by default and switched on (flag: --enable-repair NAME, repeatable, or "
        "comma separated; environment: comma separated): "
        + ", ".join(
            one.name for family in FAMILIES for one in family.request_corrections if not one.is_default
        )
        + ", which changes requests that vLLM accepts (docs/requests.md).",
    )
    nested_sequence_number: NestedNumbers = setting(
        NestedNumbers.RENUMBER,
        description="What happens to a sequence_number inside an item, part or response. renumber: it gets the number of "
        "its event; remove: it is deleted, since no specification has it there.",
    )
    done_sentinel: bool = setting(
        True,
        description="Whether a stream ends with `data: [DONE]`. On by default: vLLM sends it, OpenAI does not, and every "
        "client that was tested accepts both.",
    )
    max_frame_bytes: int = setting(
        8 * MIB,
        gt=0,
        description="Largest single event, in bytes. A larger one ends the stream visibly. The default is enough for a "
        "final response object with everything that a long context can produce.",
    )
    max_text_bytes: int = setting(
        16 * MIB,
        gt=0,
        description="How much of one stream is remembered, in bytes of text and items, to rebuild final objects. Beyond it "
        "the stream ends visibly, so that memory is bounded. The default is enough for four million tokens; a stream that "
        "reaches the limit takes about ten times as much memory for a moment, while its closing events are built.",
    )

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


@dataclass(frozen=True, kw_only=True)
class ServerSettings(CoreSettings):
    """Everything that ``serve`` needs."""

    upstream: str = setting(
        is_shown=False,
        description="URL of vLLM: http or https, host, optional port and path prefix. A /v1 at its end is left "
        "out, since the paths of requests bring it. A user and password in it are sent as Basic authorization with requests "
        "that have none, and are never logged. unix:/path/to/socket connects to a Unix socket (vllm serve --uds).",
    )
    upstream_api_key_file: str | None = setting(
        None,
        description="File with the key of vLLM (vllm serve --api-key), and nothing else. It is sent as Bearer "
        "authorization instead of what clients send (Authorization, X-Api-Key, Api-Key), which SDKs always do, if only "
        "with a dummy. So whoever reaches the data port uses this key. Read at the start, on SIGHUP and when the file "
        "changes; never logged.",
    )
    host: str = setting(
        "127.0.0.1",
        description="Address that the data port listens on. Loopback by default, so that nothing is exposed by accident; "
        "the image sets 0.0.0.0, because a container's loopback cannot be reached from outside. :: is all IPv6 addresses, "
        "and no IPv4 address.",
    )
    port: int = setting(
        9000, ge=0, le=65535, description="Data port; vLLM's own is 8000. 0 takes a free port and logs it."
    )
    workers: int = setting(
        1,
        ge=0,
        le=1024,
        description="Processes that answer requests, each on a core of its own; 0: one per core. One by default, because "
        "replicas of a container scale just as well and fail separately. More than one needs Linux. They share "
        "max_streams.",
    )
    admin_host: str | None = setting(
        None,
        description="Address that the admin port (/metrics, /livez, /readyz) listens on. The data port's by default.",
    )
    admin_port: int = setting(
        9001,
        ge=0,
        le=65535,
        description="Admin port. Separate from the data port, because vLLM's own /metrics and /health are there, and the "
        "proxy's are not for clients. 0 takes a free port and logs it.",
    )
    keepalive_seconds: float = setting(
        15.0,
        ge=0,
        description="Silence towards the client after which a keep-alive is sent, in seconds; 0 sends none. 15 is below "
        "the idle limits of common load balancers, 30 s and 60 s.",
    )
    keepalive: KeepAlive = setting(
        KeepAlive.COMMENT,
        description="comment: an SSE comment, invisible to applications; event: a keepalive event, which also resets the "
        "idle timers of Codex (300 s) and LangChain (120 s); comments do not.",
    )
    idle_timeout_seconds: float = setting(
        600.0,
        ge=0,
        description="Silence of upstream within an answer after which the answer is given up, in seconds; 0 waits for "
        "ever. Generous: long prefills and some parsers are silent for minutes, and clients have limits of their own.",
    )
    status_poll_seconds: float = setting(
        10.0,
        ge=0,
        description="Silence after which the status of a background response is polled (`GET /v1/responses/{id}`), in "
        "seconds, and the time between two polls; 0 never polls. vLLM leaves the stream of a dead or cancelled producer "
        "open for ever; only the status can end it before the idle limit. 10 costs one cheap request per silent stream, "
        "and is long before any client gives up.",
    )
    connect_timeout_seconds: float = setting(
        5.0,
        gt=0,
        description="Time to resolve upstream's name and connect to it, in seconds. The default allows for two lost SYN "
        "packets.",
    )
    first_byte_timeout_seconds: float = setting(
        600.0,
        gt=0,
        description="Time from the last byte of a request to the first byte of upstream's answer, in seconds: an answer "
        "that is not streamed may need all of it. The default is the openai SDK's.",
    )
    client_idle_seconds: float = setting(
        75.0,
        gt=0,
        description="How long a client's unused connection is kept open, in seconds. Longer than the 60 s of common load "
        "balancers, so that they close it first.",
    )
    request_head_timeout_seconds: float = setting(
        20.0,
        ge=0,
        description="Time from the first byte of a request to the end of its header, in seconds; 0 waits for "
        "client_idle_seconds. A header is a packet or two, so only a very bad line or an attack (slowloris) takes longer. "
        "The client gets 408.",
    )
    request_body_timeout_seconds: float = setting(
        60.0,
        ge=0,
        description="How long a client may be silent within a request's body, in seconds; 0 waits for ever. A body that "
        "trickles in below 500 bytes a second uses up the same time. nginx's default. The client gets 408.",
    )
    client_write_timeout_seconds: float = setting(
        60.0,
        ge=0,
        description="How long a client may take nothing of an answer that is ready for it, in seconds; 0 waits for ever. "
        "Then its connection is closed and upstream is released, which would otherwise wait for a client that may be gone. "
        "nginx's default.",
    )
    max_header_bytes: int = setting(
        64 * 1024,
        gt=0,
        description="Largest request line and header together, in bytes; at most 128 header lines. Twice what nginx "
        "accepts by default. The client gets 431.",
    )
    max_request_body_bytes: int = setting(
        512 * MIB,
        ge=0,
        description="Largest request body, in bytes; 0 allows any. It is never held whole, except up to "
        "max_request_body_inspect_bytes. The default lets long audio and many images pass and stops an endless upload. The "
        "client gets 413.",
    )
    max_streams: int = setting(
        2000,
        ge=0,
        description="Most requests that are answered at the same time, not counting GET, HEAD and OPTIONS that are not "
        "streams; 0 allows any number. More get 503 with Retry-After. The default is about twice what one vLLM engine runs "
        "at once by default; so many streams take some 100 MiB here, and two file descriptors each.",
    )
    upstream_idle_seconds: float = setting(
        4.0,
        gt=0,
        description="How long an unused connection to upstream is kept open, in seconds. Must be below vLLM's "
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE (5 s), or requests go out on connections that are being closed.",
    )
    max_request_body_inspect_bytes: int = setting(
        8 * MIB,
        ge=0,
        description="Largest body of a request that is read before it is forwarded, in bytes: repairs use what "
        "was asked for, and a body that was read can be sent again. Larger ones are streamed through unread, and are not "
        "repaired if vLLM refuses them; 0 reads none. At /invocations only the body says what is asked for: the "
        "answer to one that was not read passes through.",
    )
    item_memory_bytes: int = setting(
        64 * MIB,
        ge=0,
        description="How much is kept of the items of emitted responses, in bytes, so that requests can be completed that "
        "only name them (`item_reference`: every second turn of the AI SDK); 0 keeps nothing. They are kept for a day at "
        "most, in the memory of each worker, apart by credential, and not for requests with `store: false`. The default "
        "holds some ten thousand turns.",
    )
    upstream_ca_file: str | None = setting(
        None,
        description="File with the authorities (PEM) that are trusted to certify upstream, instead of the system's. For an "
        "https upstream, whose certificate is always verified, including its name.",
    )
    tls_cert_file: str | None = setting(
        None,
        description="Certificate chain (PEM) of the data port, which then speaks TLS; needs tls_key_file. Plain HTTP by "
        "default: most installations terminate TLS in front. Read at the start, on SIGHUP and when the file changes; the "
        "admin port stays plain.",
    )
    tls_key_file: str | None = setting(None, description="Private key (PEM, not encrypted) of tls_cert_file.")
    allow_paths: tuple[str, ...] = setting(
        (),
        description="Paths that are forwarded (flag: --allow-path PATH, repeatable; environment: comma separated); a final "
        "* stands for any rest. All others get 404. By default every path is forwarded, as a drop-in replacement must; but "
        "vLLM's key protects only /v1, /v2, /inference and /cohere, so where clients are not trusted, allow what they "
        "need, such as /v1/*.",
    )
    preserve_host: bool = setting(
        False,
        description="Whether upstream gets the client's Host header instead of its own authority. Off, because name-based "
        "routing in front of vLLM expects vLLM's name.",
    )
    trusted_proxies: tuple[str, ...] = setting(
        (),
        description="Addresses and networks of proxies in front, such as 10.0.0.0/8 (flag: repeatable, or comma separated; "
        "environment: comma separated). Where one of them connects, client_ip in log lines is taken from its "
        "X-Forwarded-For. None by default: anybody could write that header.",
    )
    look_at_upstream: bool = setting(
        True,
        description="Whether upstream is asked for /version and /v1/models when the proxy starts, and the answer is logged. "
        "Nothing depends on it.",
    )
    otel: bool = setting(
        False,
        description="Whether each stream becomes a span of OpenTelemetry, with its family, ending and repairs, as a child of "
        "what the client's traceparent names. Needs the extra: pip install 'vllm-sse-proxy[otel]'. Where spans go is said by "
        "OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT.",
    )
    drain_delay_seconds: float = setting(
        5.0,
        ge=0,
        description="How long after SIGTERM connections are still accepted while /readyz answers 503, in seconds: load "
        "balancers need that long to notice. Ctrl-C skips it.",
    )
    drain_timeout_seconds: float = setting(
        20.0,
        ge=0,
        description="How long after that open requests may still finish, in seconds; the rest is ended visibly. Together "
        "with the delay it stays within Kubernetes' default grace period of 30 s; raise both for long answers.",
    )
    record: str | None = setting(
        None,
        description="Folder into which streams are recorded, for support and for tests: the request, upstream's stream and "
        "the client's, so everything that users write and models answer, and never a credential (docs/recording.md). "
        "Nothing is recorded by default.",
    )
    record_max_streams: int = setting(
        1000, gt=0, description="Most recordings that are kept; the oldest are removed."
    )
    record_max_bytes: int = setting(
        256 * MIB,
        gt=0,
        description="Most bytes that the recordings may take together; the oldest are removed.",
    )
    log_level: LogLevel = setting(
        LogLevel.INFO,
        description="Least severe log line that is written. info includes one line per request; debug adds a stream's "
        "beginning, its first bytes, its repairs and its end, and connections to upstream.",
    )
    log_format: LogFormat = setting(
        LogFormat.AUTO,
        description="json: one object per line, for collectors; text: for people; auto: text where standard output, to which "
        "log lines go, is a terminal, and json elsewhere.",
    )

    @property
    def upstream_socket(self) -> str | None:
        """The path of the Unix socket that upstream listens on; None: it has a host."""
        return self.upstream.removeprefix(UNIX) if self.upstream.startswith(UNIX) else None

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


SettingsT = TypeVar("SettingsT", bound=CoreSettings)

REPEATABLE: Final = {
    "disable_repairs": "disable_repair",
    "enable_repairs": "enable_repair",
    "allow_paths": "allow_path",
    "trusted_proxies": "trusted_proxies",
}
"""Settings with several values: the name of their flag, which is given once for each value."""


def settings_of(model: type[CoreSettings]) -> dict[str, Setting]:
    """Return the settings that a model has, by name."""
    kinds = get_type_hints(model)
    return {
        field.name: Setting(
            kinds[field.name],
            None if field.default is dataclasses.MISSING else field.default,
            field.default is dataclasses.MISSING,
            **field.metadata,
        )
        for field in dataclasses.fields(model)
    }


def from_json(model: type[SettingsT], values: Mapping[str, Any]) -> SettingsT:
    """Return settings that were checked, from their values as JSON has them: those of ``dataclasses.asdict``."""
    known = settings_of(model)
    return model(**{name: _restored(known[name].kind, value) for name, value in values.items()})


def _restored(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return tuple(value) if isinstance(value, list) else value


def flag_name(field: str) -> str:
    """Spell a field as its command line flag."""
    return "--" + REPEATABLE.get(field, field).replace("_", "-")

"""A probe as it runs: look at the server, ask it everything, and judge each answer as it came and as the proxy repairs it.

An answer is repaired by the core that ``serve`` has, from the very bytes that came: so both sides are one answer, and a
request is sent once. Only a request that may need repair itself (it was refused, or has a client's shape) is sent again,
through a whole proxy in this process, which repairs requests too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from base64 import b64encode
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from aiohttp import hdrs

from vllm_sse_proxy.demo import asking
from vllm_sse_proxy.demo.clients import Answer
from vllm_sse_proxy.demo.report import Comparison, Side
from vllm_sse_proxy.demo.session import counted, url_of
from vllm_sse_proxy.probe.cases import FAMILIES, Case
from vllm_sse_proxy.probe.target import ProbeError, Target, is_alive, look, unreachable
from vllm_sse_proxy.probe.verdicts import Report, Result, Verdict
from vllm_sse_proxy.server import Server
from vllm_sse_proxy.server.tls import upstream_context
from vllm_sse_proxy.settings import CoreSettings, ServerSettings
from vllm_sse_proxy.stream.ending import BodyEnd
from vllm_sse_proxy.stream.normalizer import StreamNormalizer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from vllm_sse_proxy.demo.protocols import Protocol

AT_ONCE: Final = 4
"""Requests that the server is sent at the same time: few enough for one that is in use."""
CONNECT_SECONDS: Final = 5.0
_REFUSALS: Final = frozenset({400, 422, 500, 501})
"""Statuses after which the proxy may send a request in another form."""
_HIDDEN: Final = b"[key]"


@dataclass(frozen=True, slots=True)
class Options:
    """What is probed, and within which bounds.

    :ivar settings: the server, as upstream of a proxy.
    :ivar model: the model that is asked; None: the first that is served.
    :ivar key: for the server; None: none. It is shown nowhere.
    :ivar key_name: the variable that it came from.
    :ivar silence_seconds: how long the server may be silent within one answer.
    :ivar most_seconds: how long all of it may take.
    """

    settings: ServerSettings
    model: str | None = None
    key: str | None = field(default=None, repr=False)
    key_name: str | None = None
    silence_seconds: float = 60.0
    most_seconds: float = 300.0


async def probe(options: Options, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Report:
    """Probe a server.

    :param progress: is called with how many requests are over, and of how many.
    :raises ProbeError: it cannot be probed.
    :raises SettingsError: the file of authorities cannot be used.
    """
    began = time.monotonic()
    settings = options.settings
    base = str(settings.upstream_base.with_user(None)).rstrip("/")
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=CONNECT_SECONDS, sock_read=options.silence_seconds
    )
    async with (
        aiohttp.ClientSession(
            connector=_connector(settings), timeout=timeout, headers=_headers(options)
        ) as client,
        aiohttp.ClientSession(timeout=timeout, headers=_headers(options)) as of_proxy,
    ):
        try:
            async with asyncio.timeout(options.most_seconds):
                target = await look(client, base, settings.shown_upstream, options.model, options.key_name)
        except TimeoutError:
            raise ProbeError(unreachable(settings.shown_upstream, TimeoutError())) from None
        async with _proxying(settings, base, options) as proxied:
            asker = _Asker(options, target, client, of_proxy, base, proxied, progress)
            await asker.run(began + options.most_seconds - time.monotonic())
    return Report(target, asker.results(), asker.absent, time.monotonic() - began, asker.sent, asker.died_at)


def _connector(settings: ServerSettings) -> aiohttp.BaseConnector:
    """Return the pool of connections to the server, wherever it listens.

    :raises SettingsError: the file of authorities cannot be used.
    """
    if settings.upstream_socket is not None:
        return aiohttp.UnixConnector(settings.upstream_socket, limit=0)
    return aiohttp.TCPConnector(limit=0, ssl=upstream_context(settings) or True)


@dataclass(eq=False)
class _Asker:
    """Sends the requests, and keeps what came of them."""

    options: Options
    target: Target
    client: aiohttp.ClientSession
    of_proxy: aiohttp.ClientSession
    base: str
    proxied: _Proxied
    progress: Callable[[int, int], None]
    absent: dict[str, str] = field(default_factory=dict)
    died_at: str | None = None
    sent: int = 0
    _done: dict[Case, Result] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def run(self, seconds: float) -> None:
        """Send everything, as far as there is time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)), asyncio.TaskGroup() as group:
                for cases in FAMILIES:
                    group.create_task(self._family(cases))

    def results(self) -> list[Result]:
        """Return the results of the families that are there, in the order of the cases."""
        wanted = [case for cases in FAMILIES for case in cases if case.protocol.path not in self.absent]
        return [self._done.get(case) or Result(case, remark="there was no time left") for case in wanted]

    async def _family(self, cases: tuple[Case, ...]) -> None:
        """Send the requests of one family, if it is there at all."""
        first, *others = cases
        why = self._absence(await self._one(first))
        if why is not None:
            self.absent[first.protocol.path] = why
            del self._done[first]
            return
        async with asyncio.TaskGroup() as group:
            for case in others:
                if case.after is None:
                    group.create_task(self._chain(case, others))

    def _absence(self, result: Result) -> str | None:
        """Return why a family is not there, by what came of its first request, the simplest there is; None if it is."""
        answer = None if result.comparison is None else result.comparison.before.answer
        if answer is None or (
            result.verdict is not Verdict.REFUSED and answer.status != HTTPStatus.NOT_IMPLEMENTED
        ):
            return None
        return answer.error_message

    async def _chain(self, case: Case, cases: list[Case]) -> None:
        """Send a request, and those that continue its answer."""
        result = await self._one(case)
        for following in cases:
            if following.after != case.name or following.follow is None:
                continue
            answer = None if result.comparison is None else result.comparison.after.answer
            members = None if answer is None else following.follow(answer)
            if members is None:
                self._note(
                    Result(following, remark=f"there was nothing to continue in the answer to: {case.name}")
                )
            else:
                await self._one(following, members)

    async def _one(self, case: Case, members: Mapping[str, Any] | None = None) -> Result:
        """Send a request as it is, and through the proxy where that may be another."""
        request = case.body(self.target.model, members)
        asked = _Asked(case, request)
        async with self._slots:
            if self.died_at is not None:
                return self._note(Result(case, remark=f"the server died at the request: {self.died_at}"))
            before = await self._ask(self.client, self.base, case.protocol.path, request)
            is_stream = before.error_message is None
            is_refusal = before.status in _REFUSALS and not before.silent
            if is_refusal or (is_stream and case.client is not None):
                result = await self._through_the_proxy(asked, before)
            else:
                result = _repaired(asked, before)
            if result.verdict is Verdict.UNREPAIRED:
                await self._look_after(case)
        return self._note(result)

    async def _look_after(self, case: Case) -> None:
        """Find out whether the server still works after a request that it failed on."""
        if self.died_at is None and not await is_alive(self.client, self.base):
            self.died_at = f"{case.protocol.path}, {case.name}"

    async def _through_the_proxy(self, asked: _Asked, before: Answer) -> Result:
        async with self.proxied.lock:  # what is counted meanwhile is this request's
            counts = self.proxied.counts()
            after = await self._ask(self.of_proxy, self.proxied.url, asked.protocol.path, asked.request)
            grown = {key: count - counts.get(key, 0) for key, count in self.proxied.counts().items()}
        repairs = {name: count for (kind, name), count in grown.items() if kind == "repairs" and count}
        comparison = Comparison(
            asked,
            Side.judge(before, asked),
            Side.judge(after, asked),
            repairs,
            grown.get(("renumbered", ""), 0),
        )
        requests = tuple(name for (kind, name), count in grown.items() if kind == "request" and count)
        return Result(asked.case, comparison, same_bytes=False, requests=requests)

    async def _ask(
        self, client: aiohttp.ClientSession, server: str, path: str, request: Mapping[str, Any]
    ) -> Answer:
        """Ask; a server that does not answer is one that answers with an error."""
        self.sent += 1
        try:
            answer = await asking.ask(client, f"{server}{path}", request)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            message = unreachable(self.target.url, error)
            body = orjson.dumps({"error": {"message": message}})
            return Answer(HTTPStatus.BAD_GATEWAY, "application/json", body, cut=False, silent=True)
        secrets = [
            one.encode() for one in (self.options.key, self.options.settings.upstream_base.password) if one
        ]
        body = answer.body
        for secret in secrets:
            body = body.replace(secret, _HIDDEN)
        return answer if body is answer.body else _with_body(answer, body)

    def _note(self, result: Result) -> Result:
        self._done[result.case] = result
        present = [case for cases in FAMILIES for case in cases if case.protocol.path not in self.absent]
        self.progress(len(self._done), len(present))
        return result


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, as the report of the demo wants it."""

    case: Case
    request: Mapping[str, Any]

    @property
    def protocol(self) -> Protocol:
        return self.case.protocol

    @property
    def model(self) -> str:
        return f"{self.case.protocol.family.name}: {self.case.name}"

    @property
    def origin(self) -> str:
        return ""

    @property
    def story(self) -> str:
        return ""

    @property
    def focus(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class _Proxied:
    """A proxy in this process, in front of the server."""

    url: str
    server: Server
    lock: asyncio.Lock

    def counts(self) -> dict[tuple[str, str], int]:
        """Return what it has counted so far."""
        return counted(self.server.metrics.registry.collect())


@contextlib.asynccontextmanager
async def _proxying(settings: ServerSettings, base: str, options: Options) -> AsyncIterator[_Proxied]:
    inner = ServerSettings(
        upstream=settings.upstream if settings.upstream_socket else base,
        port=0,
        admin_port=0,
        upstream_ca_file=settings.upstream_ca_file,
        connect_timeout_seconds=CONNECT_SECONDS,
        first_byte_timeout_seconds=options.silence_seconds,
        idle_timeout_seconds=options.silence_seconds,
    )
    server = Server(inner)
    await server.start()
    try:
        yield _Proxied(url_of(inner.host, server.port), server, asyncio.Lock())
    finally:
        await server.stop()


def _repaired(asked: _Asked, before: Answer) -> Result:
    """Repair an answer by the core, as `serve` would, and judge both."""
    if before.error_message is not None:
        side = Side.judge(before, asked)
        return Result(asked.case, Comparison(asked, side, side, {}, 0))
    family = asked.protocol.family
    normalizer = StreamNormalizer(CoreSettings().plan(family), family.context("", asked.request))
    body = normalizer.feed(before.body) + normalizer.finish(_end_of(before))
    failure = normalizer.failure
    if (
        failure is not None and not normalizer.committed
    ):  # nothing was sent yet: a plain HTTP error serves clients better
        document = family.error(failure.message, failure.type, failure.code)
        after = Answer(failure.status, "application/json", orjson.dumps(document), cut=False)
    else:
        after = Answer(before.status, before.content_type, body, cut=False)
    tally = normalizer.tally
    repairs = {name: count for name, count in tally.repairs.items() if count}
    comparison = Comparison(
        asked, Side.judge(before, asked), Side.judge(after, asked), repairs, tally.events_renumbered
    )
    return Result(asked.case, comparison, ending=normalizer.ending)


def _end_of(answer: Answer) -> BodyEnd:
    if answer.silent:
        return BodyEnd.IDLE_TIMEOUT
    return BodyEnd.CUT if answer.cut else BodyEnd.EOF


def _with_body(answer: Answer, body: bytes) -> Answer:
    return Answer(answer.status, answer.content_type, body, cut=answer.cut, silent=answer.silent)


def _headers(options: Options) -> dict[str, str]:
    """Return what says who asks: the key, else the user and password of the URL."""
    url = options.settings.upstream_base
    headers: dict[str, str] = {hdrs.USER_AGENT: "vllm-sse-proxy-probe"}
    if options.key is not None:
        headers[hdrs.AUTHORIZATION] = f"Bearer {options.key}"
    elif url.user is not None:
        credentials = f"{url.user}:{url.password or ''}".encode()
        headers[hdrs.AUTHORIZATION] = f"Basic {b64encode(credentials).decode()}"
    return headers

"""Requests that vLLM refuses, sent again in a form that it accepts (docs/requests.md).

What is done to a request, and when it is sent again, the family decides (:mod:`vllm_sse_proxy.families.requests`). Here are
the things that need a clock, a process or upstream: what is remembered of upstream, and the posts of one request.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.requests import (
    Facts,
    RequestAttempts,
    RequestMemory,
    Step,
    names_gpt_oss,
)
from vllm_sse_proxy.server.handling import StreamRequest
from vllm_sse_proxy.server.release import UpstreamRelease

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multidict import CIMultiDict

    from vllm_sse_proxy.families.requests import Key, RequestPlanner
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.upstream import Upstream
    from vllm_sse_proxy.settings import ServerSettings

_REFUSALS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
"""Statuses of answers that are looked into: they may be refusals."""


@dataclass(eq=False)
class RequestRepairs:
    """What the requests of a family share in one process.

    :ivar planner: the repairs that are switched on.
    :ivar memory: what made requests pass.
    """

    settings: ServerSettings
    upstream: Upstream
    planner: RequestPlanner
    memory: RequestMemory = field(default_factory=RequestMemory)
    release: UpstreamRelease = field(init=False)
    _starts: int = 0

    def __post_init__(self) -> None:
        self.release = UpstreamRelease(self.upstream)

    async def learn_release(self, headers: Callable[[], CIMultiDict[str]]) -> None:
        """Find out upstream's release, unless it is known, and forget what was learnt of another one."""
        await self.release.refresh(headers)
        self._identify()

    def note_unreachable(self) -> None:
        """Take note that upstream could not be reached: it may come back as another one."""
        self._starts += 1
        self.release.forget()
        self._identify()

    def facts(self, key: Key) -> Facts:
        """Return what is known of the model."""
        known = Facts(release=self.release.known, harmony=True if names_gpt_oss(key[1]) else None)
        return self.memory.facts(key, known)

    def known_facts(
        self,
        key: Key,
        request: dict[str, Any],  # noqa: ARG002 - for families that know more
        exchange: Exchange,  # noqa: ARG002 - as above
    ) -> Facts:
        """Return what is known of the model and of the request's surroundings."""
        return self.facts(key)

    def misread_in(self, request: dict[str, Any], facts: Facts) -> frozenset[str]:  # noqa: ARG002 - as above
        """Return the names of what upstream misreads in a request that it has accepted.

        :param request: as it was sent.
        """
        return frozenset()

    def _identify(self) -> None:
        self.memory.identify(self.settings.upstream, f"{self.release.version} {self._starts}")


@dataclass(eq=False)
class RequestPosts:
    """The posts of one request.

    :param headers: makes the client's own end-to-end headers, as they are forwarded.
    :ivar conversion: what must be converted back in the answer; false: nothing.
    """

    repairs: RequestRepairs
    exchange: Exchange
    headers: Callable[[], CIMultiDict[str]]
    conversion: Any = None
    _raw: bytes | None = None
    _request: dict[str, Any] | None = None
    _key: Key = ("", "")
    _attempts: RequestAttempts | None = None
    _refused_at: float = 0.0

    async def first(self, raw: bytes, request: dict[str, Any]) -> bytes:
        """Return what is sent first: nearly always the request as it came.

        :param raw: the request's body.
        :param request: the same as a JSON object.
        """
        repairs = self.repairs
        model = request.get("model")
        self._raw, self._request = raw, request
        self._key = (repairs.settings.upstream, model if isinstance(model, str) else "")
        depends = repairs.planner.depends_on_upstream(request)
        if not depends and not repairs.memory.knows(self._key):
            return raw
        if depends:
            await repairs.learn_release(self.headers)
        attempts = self._begin(raw, request, recall=True)
        return attempts.first().body

    def may_be_refused(self, status: int) -> bool:
        """Return whether an answer with this status may be a refusal, which :meth:`after_refusal` has to see."""
        return self._raw is not None and status in _REFUSALS

    def after_refusal(self, status: int, refusal: bytes) -> bytes | None:
        """Return what is sent instead of what was refused; None if nothing is.

        :param refusal: the body of the answer.
        """
        if self._attempts is None:
            assert self._raw is not None  # noqa: S101 - the answer to what `first` returned
            self._begin(self._raw, orjson.loads(self._raw), recall=False).first()
        attempts = self._attempts
        assert attempts is not None  # noqa: S101 - made above
        if not self._refused_at:
            self._refused_at = asyncio.get_running_loop().time()
        last = attempts.posts[-1]
        if last.step is not Step.FIRST and len(attempts.posts) == 1:
            self.repairs.memory.refuted(self._key, attempts.features())  # what was remembered is not so
        post = attempts.after(status, refusal)
        return None if post is None else post.body

    def settle(self, status: int) -> int:
        """Take note that the last answer stands, and return which of the answers the client gets, counted from 0.

        :param status: the last answer's.
        """
        attempts, self._attempts, self._raw = self._attempts, None, None
        request, self._request = self._request, None
        if attempts is None:
            if request is not None and _is_success(status):
                self._count_misread(request, self.repairs.facts(self._key))
            return 0
        metrics = self.exchange.metrics
        memory = self.repairs.memory
        memory.learn(self._key, attempts.facts)
        last = len(attempts.posts) - 1
        post = attempts.posts[last]
        if attempts.is_refused:
            outcome = "still_refused" if last else "nothing_to_repair"
            metrics.request_refusals.labels(outcome).inc()
            return attempts.decisive
        if not _is_success(status):
            return last
        self.conversion = post.conversion
        self._count(post.names)
        self._count_misread(orjson.loads(post.body), attempts.facts)
        now = asyncio.get_running_loop().time()
        if last:
            metrics.request_refusals.labels("repaired").inc()
            metrics.request_repair.observe(now - self._refused_at)
        if last or post.step is Step.FIRST:
            features = attempts.features()
            if post.step is Step.FIRST:
                memory.refuted(self._key, features)
            else:
                memory.passed(self._key, features, post.step, attempts.facts, now)
        return last

    def note_no_budgets(self) -> None:
        """Take note that upstream has no budgets of thinking."""
        memory = self.repairs.memory
        memory.learn(self._key, replace(memory.facts(self._key, Facts()), budgets=False))

    def _begin(self, raw: bytes, request: dict[str, Any], *, recall: bool) -> RequestAttempts:
        """Begin the posts.

        :param recall: let the first one be what made requests like this pass.
        """
        repairs = self.repairs
        facts = repairs.known_facts(self._key, request, self.exchange)
        step = Step.FIRST
        if recall and repairs.memory.knows(self._key):
            now = asyncio.get_running_loop().time()
            step = repairs.memory.step(self._key, repairs.planner.features(request, facts), now)
        self._attempts = RequestAttempts(repairs.planner, raw, request, facts, step)
        return self._attempts

    def _count_misread(self, request: dict[str, Any], facts: Facts) -> None:
        """Count what upstream misreads in the request that it has accepted."""
        for name in self.repairs.misread_in(request, facts):
            self.exchange.metrics.requests_misread.labels(name).inc()

    def _count(self, names: tuple[str, ...]) -> None:
        exchange = self.exchange
        exchange.request_repairs = list(names) or None
        for name in names:
            exchange.metrics.request_repairs.labels(name).inc()


@dataclass(eq=False)
class RepairingRequest(StreamRequest):
    """A request that is sent again in another form if upstream refuses it.

    :ivar posts: what it was sent as.
    """

    posts: RequestPosts

    async def take_body(self, body: bytes, document: Mapping[str, Any] | None) -> bytes:
        """Return the body for upstream: repaired where no refusal will come."""
        await super().take_body(body, document)
        return body if document is None else await self.posts.first(body, dict(document))

    def may_be_refused(self, status: int) -> bool:
        """Return whether an answer with this status may be a refusal after which the request is sent again."""
        return self.posts.may_be_refused(status)

    def after_refusal(self, status: int, refusal: bytes) -> bytes | None:
        """Return the body that is sent instead of a refused one; None if the request is not sent again."""
        return self.posts.after_refusal(status, refusal)

    def settle(self, status: int) -> int:
        """Take note that the request is not sent again; return which of upstream's answers the client gets."""
        return self.posts.settle(status)


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES

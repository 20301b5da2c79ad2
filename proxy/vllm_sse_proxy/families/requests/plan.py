"""Which repairs a request gets, and when it is sent again.

The request is sent as it came. After a refusal it is sent again with all lossless repairs whose features are in it, and after
another refusal with the lossy ones as well; then the client gets the refusal of its own request. At most three posts, so two
more. Only the few repairs whose step is FIRST are applied before.

What made requests pass is remembered (:mod:`memory`). Then the first post is repaired already; if it is refused all the same,
the request goes out as it came before the client is answered, so that the refusal that it gets is about what it sent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.requests import evidence
from vllm_sse_proxy.families.requests.base import Facts, Step
from vllm_sse_proxy.families.requests.document import Body, read, write

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from vllm_sse_proxy.families.requests.base import RequestRepair

MAX_POSTS: Final = 3
"""The first, and two more."""
_MAX_UPSTREAMS: Final = 64
"""Releases and paths that are kept apart; nobody runs so many."""
_REFUSALS: Final = frozenset({400, 422, 501})
"""Statuses of requests that were not run, whatever is in them."""
_FAILURE: Final = 500
"""Old releases answer so to some features, before anything was run. With other requests it means what it says."""

_ORDERS: Final[Mapping[Step, tuple[Step, ...]]] = {
    Step.FIRST: (Step.FIRST, Step.LOSSLESS, Step.LOSSY),
    Step.LOSSLESS: (Step.LOSSLESS, Step.LOSSY, Step.FIRST),
    Step.LOSSY: (Step.LOSSY, Step.FIRST, Step.LOSSLESS),
}
"""What is remembered → the steps in the order in which they are tried."""
_NO_FACTS: Final = Facts()
_Upstream = tuple[tuple[int, int] | None, bool | None, bool | None]


@dataclass(frozen=True, slots=True)
class Repairing:
    """A request after some of the repairs.

    :ivar body: the request's members.
    :ivar names: of the repairs that changed it, in their order.
    :ivar tools: what became of its tools.
    """

    body: Body
    names: tuple[str, ...]
    tools: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Post:
    """One way to send a request.

    :ivar body: the bytes to send.
    :ivar names: of the repairs that changed it; empty if these are the client's own bytes.
    :ivar conversion: what must be converted back in the answer, as the family knows it; false: nothing.
    :ivar step: FIRST for the request as it came.
    """

    body: bytes
    names: tuple[str, ...]
    conversion: Any
    step: Step


class RequestPlanner:
    """The repairs of a family that are switched on. One for a process.

    A family whose answers must be converted back overrides the last two methods.

    :param repairs: all of the family's, in order.
    :param disabled: names of repairs that are switched off.
    :param enabled: names of repairs that are switched on, and would not be without it.
    """

    __slots__ = ("_early", "_urgent", "repairs")

    def __init__(
        self,
        repairs: tuple[RequestRepair, ...],
        *,
        disabled: Collection[str] = (),
        enabled: Collection[str] = (),
    ) -> None:
        self.repairs: tuple[RequestRepair, ...] = tuple(
            repair
            for repair in repairs
            if repair.name not in disabled and (repair.enabled or repair.name in enabled)
        )
        self._early = tuple(repair for repair in self.repairs if repair.first)
        self._urgent: dict[_Upstream, tuple[RequestRepair, ...]] = {}
        """release, path and budgets → the repairs that are applied first there"""

    def depends_on_upstream(self, request: Body) -> bool:
        """Return whether a request may have to be repaired before its first send, depending on what upstream is.

        Every request is asked about, and takes a microsecond or two.
        """
        for repair in self._early:  # noqa: SIM110 - a generator would take as long as the question
            if repair.concerns(request, _NO_FACTS):
                return True
        return False

    def is_urgent(self, request: Body, facts: Facts) -> bool:
        """Return whether a request may have to be repaired before its first send.

        If it need not, and the memory knows nothing of its model, it can be sent as it came, and :class:`RequestAttempts` be
        made when it is refused.
        """
        upstream = (facts.release, facts.harmony, facts.budgets)
        urgent = self._urgent.get(upstream)
        if urgent is None:
            if len(self._urgent) >= _MAX_UPSTREAMS:
                self._urgent.clear()
            urgent = tuple(repair for repair in self._early if repair.step(facts) is Step.FIRST)
            self._urgent[upstream] = urgent
        for repair in urgent:  # noqa: SIM110 - a generator would take as long as the question
            if repair.concerns(request, facts):
                return True
        return False

    def features(self, request: Body, facts: Facts) -> frozenset[str]:
        """Return the names of the repairs that have something to change in a request."""
        return frozenset(self.repaired(request, facts, Step.LOSSY).names)

    def repaired(self, request: Body, facts: Facts, step: Step) -> Repairing:
        """Return the request after all repairs up to a step. It is the same for the same request, facts and step."""
        body = request
        names: list[str] = []
        tools: list[Any] = []
        for repair in self.repairs:
            if repair.step(facts) <= step:
                result = repair.repair(body, facts)
                if result is not None:
                    body = result.body
                    names.append(repair.name)
                    tools += result.tools
        return Repairing(body, tuple(names), tuple(tools))

    def answers_500(self, names: Collection[str]) -> bool:
        """Return whether some release answers 500 to the feature of one of these repairs."""
        return any(repair.answers_500 and repair.name in names for repair in self.repairs)

    def conversion(self, request: Body, repairing: Repairing) -> Any:  # noqa: ARG002 - most repairs need nothing undone
        """Return what must be converted back in the answer to a repaired request; false: nothing.

        :param request: as the client sent it.
        """
        return None

    def with_conversion(self, body: Body, conversion: Any) -> Body | None:  # noqa: ARG002 - as above
        """Return a background request that carries its conversion along; None if there is no room for it."""
        return body


class RequestAttempts:
    """One request on its way to an upstream that may refuse it.

    :param raw: its bytes, as they came.
    :param request: the same as a JSON object.
    :param facts: what is known of upstream before the first send.
    :param remembered: the step that made requests like this pass; FIRST if none is known.

    :ivar facts: what is known by now.
    :ivar posts: what was sent so far.
    :ivar is_refused: whether the last answer was a refusal.
    """

    __slots__ = ("_planner", "_raw", "_request", "_steps", "_tree", "facts", "is_refused", "posts")

    def __init__(
        self,
        planner: RequestPlanner,
        raw: bytes,
        request: Body,
        facts: Facts,
        remembered: Step = Step.FIRST,
    ) -> None:
        self.facts = replace(
            facts, background=request.get("background") is True, stream=request.get("stream") is True
        )
        self.posts: list[Post] = []
        self.is_refused = False
        self._planner = planner
        self._raw = raw
        self._request = request
        self._tree: Body | None = None
        self._steps = list(_ORDERS[remembered])

    def first(self) -> Post:
        """Return what is sent first; to be called once, before anything else."""
        post = self._next()
        assert post is not None, "FIRST is among the steps, and can always be sent"  # noqa: S101 - a fact of this class
        return post

    def after(self, status: int, refusal: bytes) -> Post | None:
        """Return what is sent next; None if the answer to the last post stands, or :attr:`decisive` if it is a refusal.

        :param status: of the answer to the last post.
        :param refusal: its body.
        """
        self.is_refused = self.is_refusal(status) and evidence.is_json_object(refusal)
        if not self.is_refused:
            return None
        before = self.facts
        self.facts = evidence.after_refusal(before, refusal)
        if self.facts != before and len(self.posts) == 1 and self.posts[0].step is not Step.FIRST:
            self._steps.insert(0, self.posts[0].step)  # what was remembered, with what is known now
        if status == _FAILURE and not self._planner.answers_500(self.features()):
            return None
        return self._next()

    def is_refusal(self, status: int) -> bool:
        """Return whether an answer with this status, and a JSON object for a body, may be a refusal of what was sent."""
        return status in _REFUSALS or (status == _FAILURE and not self.facts.background)

    @property
    def decisive(self) -> int:
        """The index of the post whose refusal the client gets: that of its own request, else the first."""
        return next((index for index, post in enumerate(self.posts) if post.step is Step.FIRST), 0)

    def features(self) -> frozenset[str]:
        """Return the names of the repairs that have something to change in the request, by what is known by now."""
        return self._planner.features(self._request, self.facts)

    def _next(self) -> Post | None:
        """Return the next post whose bytes were not sent yet."""
        while self._steps and len(self.posts) < MAX_POSTS:
            post = self._at(self._steps.pop(0))
            if post is not None and all(post.body != sent.body for sent in self.posts):
                self.posts.append(post)
                self.is_refused = False
                return post
        return None

    def _at(self, step: Step) -> Post | None:
        """Return the request as it is sent at a step; None if there is nothing to repair, or it cannot be."""
        as_it_came = Post(self._raw, (), None, step) if step is Step.FIRST else None
        if as_it_came is not None and not self._planner.is_urgent(self._request, self.facts):
            return as_it_came
        if self._tree is None:
            self._tree = read(self._raw)
        if self._tree is None:
            return as_it_came
        repairing = self._planner.repaired(self._tree, self.facts, step)
        conversion = self._planner.conversion(self._tree, repairing)
        body: Body | None = repairing.body
        if self.facts.background and conversion:
            body = self._planner.with_conversion(repairing.body, conversion)
        written = write(body) if body is not None and repairing.names else None
        return as_it_came if written is None else Post(written, repairing.names, conversion, step)

"""What a request repair is.

A request repair changes one thing that clients send and vLLM refuses or misreads. It looks at the request and at what is known
of upstream, and at nothing else: the same request becomes the same bytes turn after turn, so that vLLM's prefix cache holds.
It never changes its input.

When it is applied, its :class:`Step` says: after a refusal, the lossless ones first, or, for the few requests that vLLM
accepts and misreads, before the first send.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class Step(IntEnum):
    """When a repair is applied. Each step includes the ones before it."""

    FIRST = 0
    """Before the first send: upstream would accept the request and misread it."""
    LOSSLESS = 1
    """After a refusal: the model sees all that the client sent."""
    LOSSY = 2
    """After a refusal of what the lossless repairs made of the request: something is lost."""
    NEVER = 9
    """This upstream accepts what the repair would change."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of upstream and of the request's surroundings. Unknown is None, and is never taken for an answer.

    :ivar release: vLLM's release, as (0, 32).
    :ivar harmony: whether the model is a gpt-oss, which vLLM serves on a path of its own.
    :ivar sees_pictures: whether the model reads pictures.
    :ivar budgets: whether upstream can hold thinking to a budget of tokens.
    :ivar room: how many tokens an answer to this request may have at most, as a refusal has said.
    :ivar strict_template: whether the model's chat template has refused a role.
    :ivar background: whether the request is one of ``background: true``.
    :ivar stream: whether the request asks for a stream.
    :ivar items: what the ids in the request's ``item_reference`` items stand for, as far as it is known.
    """

    release: tuple[int, int] | None = None
    harmony: bool | None = None
    sees_pictures: bool | None = None
    budgets: bool | None = None
    room: int | None = None
    strict_template: bool = False
    background: bool = False
    stream: bool = False
    items: dict[str, Any] = field(default_factory=dict)

    def is_before(self, release: tuple[int, int]) -> bool:
        """Return whether upstream is known to be older than this release."""
        return self.release is not None and self.release < release

    def is_since(self, release: tuple[int, int]) -> bool:
        """Return whether upstream is known to be this release or a newer one."""
        return self.release is not None and self.release >= release


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair made of a request.

    :ivar body: the new body; shares what did not change with the old one.
    :ivar tools: those that upstream now knows otherwise than the client, as the family describes them.
    """

    body: Body
    tools: tuple[Any, ...] = ()


class RequestRepair(ABC):
    """Base of the request repairs. They have no state: one instance serves every request.

    :cvar name: the one name of the repair: module, counter label, configuration, docs anchor.
    :cvar summary: one line for tables.
    :cvar lossless: whether the model sees all that the client sent.
    :cvar accepted_since: the first release that accepts what the repair would change; None if none does, or that does not
        decide it.
    :cvar first: why, and under which condition, it is applied before the first send; empty if it never is.
    :cvar answers_500: whether some release answers its feature with 500 instead of 400.
    :cvar enabled: whether it is switched on unless the configuration says otherwise.
    """

    __slots__ = ()

    name: ClassVar[str]
    summary: ClassVar[str]
    lossless: ClassVar[bool]
    accepted_since: ClassVar[tuple[int, int] | None] = None
    first: ClassVar[str] = ""
    answers_500: ClassVar[bool] = False
    enabled: ClassVar[bool] = True

    def step(self, facts: Facts) -> Step:
        """Return when the repair is applied to requests for this upstream."""
        if self.accepted_since is not None and facts.is_since(self.accepted_since):
            return Step.NEVER
        return Step.LOSSLESS if self.lossless else Step.LOSSY

    @abstractmethod
    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request after the repair; None if it has not the feature, or must stay as it is."""

    def concerns(self, body: Body, facts: Facts) -> bool:
        """Return whether the request has the feature, which :meth:`repair` may still leave as it is.

        Quick for those that may be applied first.
        """
        return self.repair(body, facts) is not None

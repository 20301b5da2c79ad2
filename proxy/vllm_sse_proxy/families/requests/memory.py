"""What made requests pass, so that the next one like them is not refused first.

For each upstream and model, sets of features that were refused are remembered, and the step that made them pass. A request
that has all features of such a set would be refused as well, whatever else it has. One that has fewer is sent as it came,
because it may be accepted. It is an optimisation: nothing is wrong where a worker or a replica does not know.

Nothing is believed for long. A set is forgotten some minutes after it was learnt, so that the next request asks again; when a
request that was repaired for it is refused; when one with all its features is accepted as it came; and with all others when
upstream's version or start changes. What a refusal showed of upstream's path is kept as long as upstream stays the same.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.requests.base import Facts, Step

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

Key = tuple[str, str]
"""Upstream and model."""

LIFETIME_SECONDS: Final = 600.0
"""Codex asks some times a minute: one refused post in ten minutes costs nothing, and shows whether upstream has changed."""
MAX_MODELS: Final = 256
MAX_SETS: Final = 16
"""Sets of features of one model. Clients of one kind have two or three."""
MAX_MODEL_CHARACTERS: Final = 256
"""A longer name is nobody's model, and is not remembered."""


class RequestMemory:
    """What a worker has learnt about its upstreams. Times are in seconds of any clock that only goes on."""

    __slots__ = ("_facts", "_identities", "_lifetime_seconds", "_max_models", "_max_sets", "_models")

    def __init__(
        self,
        *,
        lifetime_seconds: float = LIFETIME_SECONDS,
        max_models: int = MAX_MODELS,
        max_sets: int = MAX_SETS,
    ) -> None:
        self._lifetime_seconds = lifetime_seconds
        self._max_models = max_models
        self._max_sets = max_sets
        self._models: OrderedDict[Key, OrderedDict[frozenset[str], tuple[Step, float]]] = OrderedDict()
        self._facts: OrderedDict[Key, Facts] = OrderedDict()
        self._identities: dict[str, str] = {}

    def __len__(self) -> int:
        """Return the number of sets that are remembered."""
        return sum(map(len, self._models.values()))

    def knows(self, key: Key) -> bool:
        """Return whether any set is remembered for a model: only then are a request's features worth looking for."""
        return key in self._models

    def step(self, key: Key, features: AbstractSet[str], now: float) -> Step:
        """Return the step at which a request with these features passes; FIRST if none is known."""
        self._expire(key, now)
        steps = [step for known, (step, _) in self._models.get(key, {}).items() if known <= features]
        return max(steps, default=Step.FIRST)

    def facts(self, key: Key, facts: Facts) -> Facts:
        """Return the facts with what refusals of this model have shown."""
        known = self._facts.get(key)
        if known is None:
            return facts
        return replace(
            facts,
            harmony=facts.harmony if known.harmony is None else known.harmony,
            sees_pictures=facts.sees_pictures if known.sees_pictures is None else known.sees_pictures,
            budgets=facts.budgets if known.budgets is None else known.budgets,
            strict_template=facts.strict_template or known.strict_template,
        )

    def passed(self, key: Key, features: AbstractSet[str], step: Step, facts: Facts, now: float) -> None:
        """Learn that a request with these features was refused as it came, and passed at a step."""
        self.learn(key, facts)
        if not features or len(key[1]) > MAX_MODEL_CHARACTERS:
            return
        known = self._models.setdefault(key, OrderedDict())
        self._models.move_to_end(key)
        for larger in [one for one in known if one >= features]:
            del known[larger]
        known[frozenset(features)] = (step, now)
        while len(known) > self._max_sets:
            known.popitem(last=False)
        while len(self._models) > self._max_models:
            self._models.popitem(last=False)

    def refuted(self, key: Key, features: AbstractSet[str]) -> None:
        """Forget what was remembered of requests with these features: one was accepted as it came, or refused repaired."""
        known = self._models.get(key)
        if known is None:
            return
        for smaller in [one for one in known if one <= features]:
            del known[smaller]
        if not known:
            del self._models[key]

    def learn(self, key: Key, facts: Facts) -> None:
        """Keep what is known of a model's path, eyes, budgets and template."""
        known = (facts.harmony, facts.sees_pictures, facts.budgets)
        if known == (None, None, None) or len(key[1]) > MAX_MODEL_CHARACTERS:
            return
        self._facts[key] = Facts(
            harmony=facts.harmony,
            sees_pictures=facts.sees_pictures,
            budgets=facts.budgets,
            strict_template=facts.strict_template,
        )
        self._facts.move_to_end(key)
        while len(self._facts) > self._max_models:
            self._facts.popitem(last=False)

    def identify(self, upstream: str, identity: str) -> None:
        """Forget everything about an upstream whose version or start is another than before.

        :param identity: any text that names both, as far as they are known.
        """
        before = self._identities.get(upstream)
        self._identities[upstream] = identity
        if before is not None and before != identity:
            for key in [key for key in self._models if key[0] == upstream]:
                del self._models[key]
            for key in [key for key in self._facts if key[0] == upstream]:
                del self._facts[key]

    def _expire(self, key: Key, now: float) -> None:
        known = self._models.get(key)
        if known is None:
            return
        for old in [one for one, (_, learnt) in known.items() if now - learnt >= self._lifetime_seconds]:
            del known[old]
        if not known:
            del self._models[key]

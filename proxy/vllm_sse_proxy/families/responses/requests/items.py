"""Items that the proxy emitted, for clients that only name them in the next request.

An item is kept in this process, for a while, up to so many bytes, under a digest of the credential with which the response was
asked for. Nobody finds an item without that credential, whatever id is named. Ids that carry the id of their response, so that
any replica could read the item from the stored response, would change every conforming stream, and help only where vLLM's
store is on.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

MAX_BYTES: Final = 64 * 1024 * 1024
"""All kept items: some ten thousand turns with their thoughts."""
MAX_AGE_SECONDS: Final = 24 * 3600.0
"""A conversation that is taken up again after a day begins anew."""
_OVERHEAD_BYTES: Final = 400
"""What an item takes beside its bytes: key, id, digest, links."""


def owner_of(credential: bytes) -> bytes:
    """Return the digest that stands for a credential; requests without one share the empty credential's."""
    return hashlib.blake2b(credential, digest_size=16, person=b"vllm-sse-proxy").digest()


class ItemMemory:
    """Items by owner and id. Times are in seconds of any clock that only goes on.

    :param max_bytes: of all items together; the oldest go first. 0 keeps nothing.
    :param max_age_seconds: after which an item is forgotten.
    """

    __slots__ = ("_bytes", "_items", "_max_age_seconds", "_max_bytes")

    def __init__(self, *, max_bytes: int = MAX_BYTES, max_age_seconds: float = MAX_AGE_SECONDS) -> None:
        self._max_bytes = max_bytes
        self._max_age_seconds = max_age_seconds
        self._items: OrderedDict[tuple[bytes, str], tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return the number of items that are kept."""
        return len(self._items)

    @property
    def size(self) -> int:
        """How many bytes they take."""
        return self._bytes

    def keep(self, owner: bytes, item: Any, now: float) -> None:
        """Keep an item as it was emitted. One without an id, or too large for the memory, is not kept."""
        id_ = text_of(item.get("id")) if isinstance(item, dict) else ""
        if not id_:
            return
        try:
            spelled = orjson.dumps(item)
        except TypeError:
            return
        self._drop((owner, id_))
        size = _size(id_, spelled)
        if size > self._max_bytes:
            return
        self._items[owner, id_] = (spelled, now)
        self._bytes += size
        while self._items and (self._bytes > self._max_bytes or self._age(now) >= self._max_age_seconds):
            self._drop(next(iter(self._items)))

    def find(self, owner: bytes, ids: list[str], now: float) -> dict[str, Any]:
        """Return those items of an owner that are known, by their ids."""
        found: dict[str, Any] = {}
        for id_ in ids:
            kept = self._items.get((owner, id_))
            if kept is not None and now - kept[1] < self._max_age_seconds:
                found[id_] = orjson.loads(kept[0])
        return found

    def _age(self, now: float) -> float:
        """Return the age of the oldest item in seconds."""
        return now - next(iter(self._items.values()))[1]

    def _drop(self, key: tuple[bytes, str]) -> None:
        kept = self._items.pop(key, None)
        if kept is not None:
            self._bytes -= _size(key[1], kept[0])


def _size(id_: str, spelled: bytes) -> int:
    return len(spelled) + len(id_) + _OVERHEAD_BYTES


def references(request: Body) -> list[str]:
    """Return the ids that a request only names, each once."""
    items = request.get("input")
    if not isinstance(items, list):
        return []
    named = [
        text_of(item.get("id"))
        for item in items
        if type_of(item) == "item_reference" or (isinstance(item, dict) and item.keys() == {"id"})
    ]
    return [id_ for id_ in dict.fromkeys(named) if id_]

"""Which family's stream a request may be answered by: a table, made of the families' endpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_plus

from vllm_sse_proxy.server.shared_paths import SharedPathHandler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vllm_sse_proxy.server.handling import FamilyHandler
    from vllm_sse_proxy.stream.family import Endpoint

_ID: Final = "{id}"
_KNOWN_PATHS: Final = 64
"""How many paths' routes are cached: nearly all requests have one of a few."""
_LONGEST_KNOWN: Final = 256
"""Longest path in characters whose route is cached: what is kept of clients' words stays small."""
_SLASHES: Final = re.compile(r"/{2,}")

# What pydantic, and so vLLM, reads as true in a query.
_TRUE: Final = frozenset({"1", "on", "t", "true", "y", "yes"})


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request leads.

    :ivar label: the ``route`` label of the metrics.
    :ivar handler: handles the requests of its family; None: the answer is passed through.
    :ivar reads_body: the request's JSON body says what is asked for.
    :ivar resource: the id in the path; "" without one.
    """

    label: str
    handler: FamilyHandler | None = None
    reads_body: bool = False
    resource: str = ""


OTHER: Final = Route("other")
"""Every request that belongs to no family."""


class RouteTable:
    """Finds the route of a request.

    :param handlers: one for each family.
    """

    def __init__(self, handlers: Iterable[FamilyHandler]) -> None:
        self.handlers = tuple(handlers)
        every = [(endpoint, handler) for handler in self.handlers for endpoint in handler.family.endpoints]
        self._endpoints: list[tuple[Endpoint, FamilyHandler]] = [
            (endpoint, handler) for endpoint, handler in every if not endpoint.body_members
        ]
        shared = [(endpoint, handler) for endpoint, handler in every if endpoint.body_members]
        for where in dict.fromkeys((endpoint.method, endpoint.path) for endpoint, _ in shared):
            here = [(one, handler) for one, handler in shared if (one.method, one.path) == where]
            candidates = tuple((one.body_members, handler) for one, handler in here)
            self._endpoints.append((here[0][0], SharedPathHandler.of(candidates)))
        self._find_known = lru_cache(maxsize=_KNOWN_PATHS)(self._find)

    def find(self, method: str, path: str, query: str) -> Route:
        """Return the route of a request.

        The end of the path decides, percent-decoded: in front of it may be a prefix of the client's or of another proxy, which
        what stands behind this one takes away or knows (vLLM's own ``--root-path``).
        """
        is_short = len(path) + len(query) <= _LONGEST_KNOWN
        return self._find_known(method, path, query) if is_short else self._find(method, path, query)

    def _find(self, method: str, path: str, query: str) -> Route:
        path = normal_path(path)
        for endpoint, handler in self._endpoints:
            resource = _match(path, endpoint.path) if method == endpoint.method else None
            if resource is not None and (not endpoint.stream_in_query or _wants_stream(query)):
                reads_body = endpoint.has_json_body and not endpoint.stream_in_query
                return Route(endpoint.route, handler, reads_body, resource)
        return OTHER


def normal_path(path: str) -> str:
    """Return a path percent-decoded, without empty segments: neither double slashes nor a trailing one."""
    return _SLASHES.sub("/", unquote(path)).rstrip("/")


def prefix_of(path: str, own_segments: int) -> str:
    """Return what stands before the endpoint in a path as the client sent it; "" if nothing does.

    :param own_segments: how many segments the endpoint has.
    """
    segments = [segment for segment in path.split("/") if segment]
    return "".join(f"/{segment}" for segment in segments[:-own_segments])


def query_pairs(query: str) -> list[tuple[str, str]]:
    """Return the names and values of a query, decoded."""
    parts = (part.partition("=") for part in query.split("&"))
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in parts]


def _match(path: str, template: str) -> str | None:
    """Return the id in a path, "" if its template has none; None if the path is another."""
    if not template.endswith(_ID):
        return "" if path.endswith(template) else None
    start = path.rfind("/") + 1
    return path[start:] if path.endswith(template.removesuffix(_ID), 0, start) else None


def _wants_stream(query: str) -> bool:
    wanted = [value for name, value in query_pairs(query) if name == "stream"]
    return bool(wanted) and wanted[-1].lower() in _TRUE  # FastAPI takes the last of several

"""What the log says of one stream while it passes, at level debug: its beginning, its first bytes, its repairs, its end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from vllm_sse_proxy.logs import emit, logger, milliseconds

if TYPE_CHECKING:
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.stream.tally import Tally


class StreamLog:
    """Writes the lines of one stream.

    :param family: the stream's family.
    :param tally: what the stream counts.
    """

    def __init__(self, exchange: Exchange, family: str, tally: Tally) -> None:
        self._exchange = exchange
        self._family = family
        self._tally = tally
        self._loop = asyncio.get_running_loop()
        self._seen: dict[str, int] = {}
        self._is_silent = True
        self._say("stream begins", model=exchange.model, upstream_status=exchange.upstream_status)

    @classmethod
    def of(cls, exchange: Exchange, family: str, tally: Tally) -> StreamLog | None:
        """Return what writes them; None unless such lines are written at all."""
        return cls(exchange, family, tally) if logger.isEnabledFor(logging.DEBUG) else None

    def note_chunk(self, size: int) -> None:
        """Take note that a chunk has been repaired.

        :param size: how long it was, in bytes.
        """
        if self._is_silent:
            self._is_silent = False
            self._say("stream has its first bytes", bytes=size)
        self._note_repairs()

    def note_end(self, ending: str) -> None:
        """Take note that the stream is over."""
        self._note_repairs()
        tally = self._tally
        self._say("stream ends", ending=ending, events_in=tally.events_in, events_out=tally.events_out)

    def _note_repairs(self) -> None:
        """Say what was repaired since this was asked last, with the number of the last event of upstream's."""
        made = self._tally.repairs
        if made == self._seen:
            return
        new = {name: count - self._seen.get(name, 0) for name, count in made.items()}
        self._seen = dict(made)
        self._say(
            "stream repaired",
            repairs={name: count for name, count in new.items() if count},
            events_in=self._tally.events_in,
        )

    def _say(self, message: str, **fields: Any) -> None:
        exchange = self._exchange
        emit(
            logging.DEBUG,
            message,
            request_id=exchange.request_id,
            family=self._family,
            after_ms=milliseconds(self._loop.time() - exchange.started_at),
            **fields,
        )

"""The I/O shell: sockets, clocks and signals, and the only place with ``await``.

It moves bytes, enforces time limits and maps exceptions; what a stream needs is decided in :mod:`vllm_sse_proxy.families`. One
request on its way: :mod:`~vllm_sse_proxy.server.clients` (its connection), :mod:`~vllm_sse_proxy.server.gateway` (its life),
:mod:`~vllm_sse_proxy.server.routes` (whose it is), :mod:`~vllm_sse_proxy.server.upload` (its body),
:mod:`~vllm_sse_proxy.server.upstream` (who answers it), then :mod:`~vllm_sse_proxy.server.relay`,
:mod:`~vllm_sse_proxy.server.stream_relay` or :mod:`~vllm_sse_proxy.server.tunnel` (its answer).
"""

from __future__ import annotations

from vllm_sse_proxy.server.app import Server
from vllm_sse_proxy.server.process import serve

__all__ = ["Server", "serve"]

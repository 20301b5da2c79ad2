"""The I/O shell: sockets, clocks and signals, and the only place with ``await``.

It moves bytes, holds to deadlines and maps exceptions; what a stream needs is decided in
:mod:`vllm_sse_proxy.families.responses`.
"""

from __future__ import annotations

from vllm_sse_proxy.server.app import Server, serve

__all__ = ["Server", "serve"]

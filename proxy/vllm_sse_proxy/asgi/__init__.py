"""The repairs inside vLLM itself: ``vllm serve MODEL --middleware vllm_sse_proxy.asgi.Repair``. No hop, no other base URL.

A pure ASGI middleware on the proxy's own core. Which streams are repaired, and how, and which requests are sent again, is
decided by the same code with the same settings, from the environment (``SSE_PROXY_*``) or the file that ``SSE_PROXY_CONFIG``
names. "Upstream" is here the application that the middleware stands in front of, so a request is sent again by calling it
again. What is counted appears in vLLM's own ``/metrics``.

What a proxy has and a middleware has not: admission, timeouts of connections, drain, status polls of silent background
streams, the admin port. Those are uvicorn's and vLLM's business there. See docs/middleware.md.
"""

from vllm_sse_proxy.asgi.middleware import Repair

__all__ = ["Repair"]

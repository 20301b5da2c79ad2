"""A reverse proxy that mends vLLM's Responses streams.

`vllm_sse_proxy.sse` frames Server-Sent Events and `vllm_sse_proxy.families.responses` repairs the event protocol; both work on
bytes in memory and know neither sockets nor clocks. `vllm_sse_proxy.server` moves the bytes between a client and vLLM.
Start it with `vllm-sse-proxy serve --upstream http://HOST:8000`.
"""

__version__ = "0.1.0"

"""A reverse proxy that mends vLLM's Responses streams.

`proxy.sse` frames Server-Sent Events and `proxy.responses` repairs the event protocol; both work on bytes in
memory and know neither sockets nor clocks. `proxy.server` moves the bytes between a client and vLLM. Start it
with `vllm-sse-proxy serve --upstream http://HOST:8000`.
"""

__version__ = "0.1.0"

"""What only the Responses API needs of the shell: resumed streams, stored call ids, polls of a response's status.

The only part of the shell that knows this family.
"""

from __future__ import annotations

from vllm_sse_proxy.server.responses.handler import ResponsesHandler

__all__ = ["ResponsesHandler"]

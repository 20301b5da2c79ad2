"""Temporary."""
from vllm_sse_proxy.stream.moved import HOLD, Moved

"""Temporary."""
from vllm_sse_proxy.families.responses.settings import Dialect, NestedNumbers, Reasoning, ResponsesSettings as Settings
from vllm_sse_proxy.stream.repair import *
from vllm_sse_proxy.stream.repair import MAX_HELD_DELTAS, MAX_UNSENT_ITEMS, MAX_TEXT_BYTES, MAX_FRAME_BYTES, Phase, Repair, RequestContext, Seen, StreamContext

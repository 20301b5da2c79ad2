"""The family of ``/v1/responses``: the repair of its streams; beside it, in ``conformance``, the judge of its protocol.

The life of a stream:

1. ``response.created`` opens the stream, then comes ``response.in_progress``; both carry the response object, without output.
2. ``response.output_item.added`` announces an item: a message, reasoning, or a call. It gets the next ``output_index``.
3. ``response.content_part.added`` announces a part of a message or of reasoning. Calls have a text of their own instead.
4. Deltas carry the text piece by piece. Each names its item, and its part by ``content_index``.
5. The text's ``done`` event repeats the sum of its deltas; ``response.content_part.done`` closes the part with it.
6. ``response.output_item.done`` closes the item. Clients run a call as soon as it is closed.
7. Steps 2 to 6 repeat for each item. Items may overlap; the parts of one item may not.
8. ``response.completed`` (or ``incomplete``, or ``failed``) ends the stream; ``response.output`` holds the closed items.
9. If something fails, an ``error`` event comes before ``response.failed``. A call that was cut then stays open.
10. Every event has the next ``sequence_number``, from 0 on. ``data: [DONE]`` is the last line.

A stream that conforms, and passes through the proxy unchanged (the data is folded here; on the wire it is one line)::

    event: response.created
    data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,
      "model":"m","error":null,"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"status":"in_progress",
      "output":[]}}

    event: response.in_progress
    data: {"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_1","object":"response",
      "created_at":1,"model":"m","error":null,"parallel_tool_calls":true,"tool_choice":"auto","tools":[],
      "status":"in_progress","output":[]}}

    event: response.output_item.added
    data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_1",
      "type":"message","role":"assistant","status":"in_progress","content":[]}}

    event: response.content_part.added
    data: {"type":"response.content_part.added","sequence_number":3,"item_id":"msg_1","output_index":0,
      "content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}

    event: response.output_text.delta
    data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,
      "content_index":0,"delta":"Hi","logprobs":[]}

    event: response.output_text.delta
    data: {"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_1","output_index":0,
      "content_index":0,"delta":"!","logprobs":[]}

    event: response.output_text.done
    data: {"type":"response.output_text.done","sequence_number":6,"item_id":"msg_1","output_index":0,"content_index":0,
      "text":"Hi!","logprobs":[]}

    event: response.content_part.done
    data: {"type":"response.content_part.done","sequence_number":7,"item_id":"msg_1","output_index":0,
      "content_index":0,"part":{"type":"output_text","text":"Hi!","annotations":[],"logprobs":[]}}

    event: response.output_item.done
    data: {"type":"response.output_item.done","sequence_number":8,"output_index":0,"item":{"id":"msg_1",
      "type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi!",
      "annotations":[],"logprobs":[]}]}}

    event: response.completed
    data: {"type":"response.completed","sequence_number":9,"response":{"id":"resp_1","object":"response",
      "created_at":1,"model":"m","error":null,"parallel_tool_calls":true,"tool_choice":"auto","tools":[],
      "status":"completed","output":[{"id":"msg_1","type":"message","role":"assistant","status":"completed",
      "content":[{"type":"output_text","text":"Hi!","annotations":[],"logprobs":[]}]}]}}

    data: [DONE]
"""

from vllm_sse_proxy.families.responses.family import RESPONSES, build_plan
from vllm_sse_proxy.families.responses.settings import Dialect, NestedNumbers, Reasoning

__all__ = [
    "RESPONSES",
    "Dialect",
    "NestedNumbers",
    "Reasoning",
    "build_plan",
]

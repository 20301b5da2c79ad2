"""Streams of `/v1/messages`, Anthropic's protocol.

The life of a stream, one block of each kind; every frame has an `event:` line, which equals the `type`:

    message_start             {"message":{"id":"m","type":"message","role":"assistant","content":[],..,"usage":{..}}}
    content_block_start       {"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
    content_block_delta       {"index":0,"delta":{"type":"thinking_delta","thinking":"Think."}}
    content_block_delta       {"index":0,"delta":{"type":"signature_delta","signature":".."}}
    content_block_stop        {"index":0}
    ..                        {"type":"text","text":""} with text_delta; {"type":"tool_use",..} with input_json_delta
    message_delta             {"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}}
    message_stop              {}
"""

"""Streams of `/v1/chat/completions`.

The life of a stream, one choice and one call:

    data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[CHOICE]}    again and again
        {"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}     the first of a choice
        {"index":0,"delta":{"reasoning":"Think."},"finish_reason":null}
        {"index":0,"delta":{"content":"Hello"},"finish_reason":null}
        {"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]},..}
        {"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":null}
        {"index":0,"delta":{},"finish_reason":"tool_calls"}                             the last of a choice
    data: {..,"choices":[],"usage":{..}}                                                if it was asked for
    data: [DONE]
"""

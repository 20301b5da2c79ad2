"""Streams of `/v1/completions`.

The life of a stream, one choice:

    data: {"id":"c","object":"text_completion","created":1,"model":"m","choices":[CHOICE]}    again and again
        {"index":0,"text":"Hello","logprobs":null,"finish_reason":null}
        {"index":0,"text":"","logprobs":null,"finish_reason":"stop"}                     the last of a choice
    data: {..,"choices":[],"usage":{..}}                                                if it was asked for
    data: [DONE]
"""

"""Streams of `/v1/audio/transcriptions` and `/v1/audio/translations`.

OpenAI's form, which only transcriptions have:

    data: {"type":"transcript.text.delta","delta":"Hel"}                                 again and again
    data: {"type":"transcript.text.done","text":"Hello","usage":{..}}
    data: [DONE]                                                                         may be left out

vLLM's own form, which both have:

    data: {"id":"c","object":"transcription.chunk","created":1,"model":"m","choices":[CHOICE]}   again and again
        {"delta":{"content":"Hel"}}
        {"delta":{"content":"lo"},"finish_reason":"stop","stop_reason":null}             once per piece of 30 seconds
    data: {..,"choices":[],"usage":{..}}                                                if it was asked for
    data: [DONE]
"""

"""One kind of content in each delta."""

from __future__ import annotations

from tests.support.chunk_streams import REQUEST, ROLE, becomes, stays


def test_one_kind_at_a_time_stays() -> None:
    stays(
        f'{ROLE}\n{{"reasoning":"r","content":null}}\n{{"content":"c","tool_calls":null}}\n{{"refusal":"no"}}\n{{}} -> stop\n[DONE]'
    )


def test_reasoning_text_and_calls_leave_one_after_the_other() -> None:
    becomes(
        f"""
        {ROLE}
        {{"content":"c","reasoning":"r","refusal":"no","tool_calls":[{{"index":0,"id":"a","type":"function","function":{{"name":"get_time","arguments":"{{"}}}},{{"index":0,"function":{{"arguments":"}}"}}}},{{"index":1,"id":"b","type":"function","function":{{"name":"get_time","arguments":"{{}}"}}}}],"x":1}} -> tool_calls + {{"logprobs":{{"content":[],"refusal":null}},"token_ids":[5],"stop_reason":null}} ++ {{"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}},"prompt_token_ids":[1]}}
        [DONE]
        """,
        f"""
        {ROLE}
        {{"x":1,"reasoning":"r"}} + {{"token_ids":null,"stop_reason":null}} ++ {{"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}},"prompt_token_ids":[1]}}
        {{"content":"c"}} + {{"logprobs":{{"content":[],"refusal":null}},"token_ids":null,"stop_reason":null}} ++ {{"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}
        {{"refusal":"no"}} + {{"token_ids":null,"stop_reason":null}} ++ {{"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}
        {{"tool_calls":[{{"index":0,"id":"a","type":"function","function":{{"name":"get_time","arguments":"{{"}}}}]}} + {{"token_ids":null,"stop_reason":null}} ++ {{"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}
        {{"tool_calls":[{{"index":0,"function":{{"arguments":"}}"}}}}]}} + {{"token_ids":null,"stop_reason":null}} ++ {{"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}
        {{"tool_calls":[{{"index":1,"id":"b","type":"function","function":{{"name":"get_time","arguments":"{{}}"}}}}]}} -> tool_calls + {{"token_ids":[5],"stop_reason":null}} ++ {{"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}
        [DONE]
        """,
        request=REQUEST,
    )


def test_the_role_stays_with_the_first_part() -> None:
    becomes(
        '{"role":"assistant","content":"c","reasoning":"r"}\n{} -> stop\n[DONE]',
        '{"role":"assistant","reasoning":"r"}\n{"content":"c"}\n{} -> stop\n[DONE]',
    )

"""The repairs that completions share with chat, where their chunks differ."""

from __future__ import annotations

import json

import pytest

from tests.support.chunk_streams import becomes, compact, repaired, stays, wire
from vllm_sse_proxy import BodyEnd, Ending
from vllm_sse_proxy.families import COMPLETIONS

HEAD = '"id":"cmpl-1","object":"text_completion","created":1,"model":"m"'
LOGPROBS = '{"text_offset":[%s],"token_logprobs":[-1],"tokens":["%s"],"top_logprobs":[null]}'
USAGE = f'! {{{HEAD},"choices":[],"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}'


def becomes_(before: str, after: str, **options: object) -> None:
    becomes(before, after, family=COMPLETIONS, **options)


def stays_(stream: str, **options: object) -> None:
    stays(stream, family=COMPLETIONS, **options)


def test_a_whole_stream_stays() -> None:
    logprobs = '{"logprobs":%s}' % (LOGPROBS % (0, "a"))
    stays_(
        f'"a" + {logprobs}\n"b"\n"" -> stop + {{"stop_reason":null,"token_ids":[1]}}\n{USAGE}\n[DONE]'.replace(
            ', "token_ids":[1]', ""
        )
    )
    stays_('"a"\n1: "b"\n1: "" -> length\n"" -> stop\n[DONE]', request={"prompt": ["x", "y"], "n": 1})


class TestReadableChunks:
    def test_strict_json(self) -> None:
        whole = wire('"a"\n"b" -> stop\n[DONE]', COMPLETIONS)
        made = repaired(whole.replace(b"data: [DONE]", b"data: ping\n\ndata: [DONE]"), family=COMPLETIONS)
        assert made.made == whole
        odd = f'! {{{HEAD},"choices":[{{"index":0,"text":"b","logprobs":null,"x":NaN,"finish_reason":"stop"}}]}}'
        nan = wire(f'"a"\n{odd}\n[DONE]', COMPLETIONS)
        assert '"b" -> stop + {"x":null}' in repaired(nan, family=COMPLETIONS).text


class TestErrorPayloads:
    def test_beside_choices(self) -> None:
        becomes_(
            f'"a"\n! {{{HEAD},"choices":[{{"index":0,"text":"b","logprobs":null,"finish_reason":"error"}}],"error":"No."}}',
            '"a"\n"b"\n! {"error":{"message":"No.","type":"InternalServerError","param":null,"code":502}}\n[DONE]',
        )

    def test_a_false_400(self) -> None:
        error = '! {"error":{"message":"No.","type":"BadRequestError","param":null,"code":400}}'
        becomes_(
            f'"a"\n{error}\n[DONE]',
            f'"a"\n{error.replace("BadRequest", "InternalServer").replace("400", "500")}\n[DONE]',
        )


class TestChunkFields:
    def test_first_and_later(self) -> None:
        made = repaired(
            '! {"choices":[{"index":0,"text":"a","logprobs":null}]}\n"b" -> stop\n[DONE]',
            family=COMPLETIONS,
            request={"model": "mine", "prompt": "x"},
        )
        first, last, _ = made.made.strip().split(b"\n\n")
        assert json.loads(first[6:])["id"].startswith("cmpl-")
        assert {name: value for name, value in json.loads(first[6:]).items() if name != "choices"} == {
            name: value for name, value in json.loads(last[6:]).items() if name != "choices"
        }


class TestChoiceShapes:
    @pytest.mark.parametrize(
        ("choice", "shaped"),
        [
            ('{"index":0,"text":null,"logprobs":null,"finish_reason":"stop"}', '"" -> stop'),
            ('{"index":0,"logprobs":null,"finish_reason":"stop"}', '"" -> stop'),
            ('{"text":"b","logprobs":null,"finish_reason":"stop"}', '"b" -> stop'),
            ('{"index":"0","text":["b","c"],"logprobs":5,"finish_reason":"stop"}', '"bc" -> stop'),
            ('{"index":1,"text":"b","logprobs":null,"finish_reason":"stop"}', '"b" -> stop'),
        ],
    )
    def test_shapes(self, choice: str, shaped: str) -> None:
        becomes_(
            f'"a"\n! {{{HEAD},"choices":[{choice}]}}\n[DONE]',
            f'"a"\n{shaped}\n[DONE]',
            request={"prompt": "x"},
        )

    def test_plain_text_with_a_wrong_index(self) -> None:
        becomes_(
            '2: "a"\n2: "b"\n2: "" -> stop\n[DONE]', '"a"\n"b"\n"" -> stop\n[DONE]', request={"prompt": "x"}
        )

    def test_several_choices(self) -> None:
        two = f'! {{{HEAD},"choices":[{{"index":0,"text":"a","logprobs":null,"finish_reason":"stop"}},{{"index":1,"text":"b","logprobs":null,"finish_reason":"stop"}}]}}'
        stays_(f"{two}\n[DONE]")
        becomes_(two.replace('"text":"b"', '"text":null') + "\n[DONE]", '"a" -> stop\n1: "" -> stop\n[DONE]')


class TestTextOffsets:
    def test_offsets_that_lack_the_prompt(self) -> None:
        """With `echo`, all but the first are counted without it."""
        becomes_(
            f'"Hi" + {{"logprobs":{LOGPROBS % (0, "Hi")}}}\n"a" + {{"logprobs":{LOGPROBS % (0, "a")}}}\n"bc" -> stop + {{"logprobs":{LOGPROBS % (1, "bc")}}}\n[DONE]',
            f'"Hi" + {{"logprobs":{LOGPROBS % (0, "Hi")}}}\n"a" + {{"logprobs":{LOGPROBS % (2, "a")}}}\n"bc" -> stop + {{"logprobs":{LOGPROBS % (3, "bc")}}}\n[DONE]',
        )

    def test_right_ones_stay(self) -> None:
        stays_(
            f'"Hi" + {{"logprobs":{LOGPROBS % (5, "Hi")}}}\n1: "a" + {{"logprobs":{LOGPROBS % (0, "a")}}}\n"b" -> stop + {{"logprobs":{LOGPROBS % (7, "b")}}}\n1: "" -> stop\n[DONE]'
        )

    @pytest.mark.parametrize(
        "logprobs",
        [
            '{"text_offset":[],"tokens":[]}',
            '{"text_offset":[1]}',
            '{"text_offset":["x"],"tokens":["y"]}',
            '{"text_offset":[1],"tokens":[2]}',
            "{}",
        ],
    )
    def test_others_are_left_alone(self, logprobs: str) -> None:
        made = repaired(
            f'"a" + {{"logprobs":{logprobs}}}\n"" -> stop\n[DONE]', family=COMPLETIONS, conforming=False
        )
        assert not made.repairs


class TestFinishReasons:
    @pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
    def test_true_ones_stay(self, reason: str) -> None:
        stays_(f'"a"\n"b" -> {reason}\n[DONE]')

    def test_other_words(self) -> None:
        becomes_(
            '"a" -> repetition + {"stop_reason":null}\n[DONE]', '"a" -> stop + {"stop_reason":null}\n[DONE]'
        )

    @pytest.mark.parametrize(("reason", "code"), [("abort", 503), ("error", 500), ("tool_calls", 502)])
    def test_what_is_no_end(self, reason: str, code: int) -> None:
        made = repaired(f'"a"\n"b" -> {reason} + {{"stop_reason":null}}\n[DONE]', family=COMPLETIONS)
        assert made.text.startswith('"a"\n"b"\n! {"error"')
        assert made.text.endswith(f'"code":{code}}}}}\n[DONE]')
        assert made.ending is Ending.UPSTREAM_ERROR
        assert repaired(f'"a"\n"" -> {reason}\n[DONE]', family=COMPLETIONS).text.startswith('"a"\n! ')


class TestLateChunks:
    def test_nothing_follows_a_finish(self) -> None:
        becomes_('"a"\n"" -> stop\n"b"\n"" -> length\n[DONE]', '"a"\n"" -> stop\n[DONE]')

    def test_not_with_finish_reasons_asked_first(self) -> None:
        made = repaired(
            '"a" -> stop\n"" -> abort\n[DONE]', family=COMPLETIONS, disabled=["late_chunks"], conforming=False
        )
        assert made.text == '"a" -> stop\n"" -> abort\n[DONE]'


class TestUsageChunks:
    def test_once_and_last(self) -> None:
        becomes_(f'"a"\n{USAGE}\n"" -> stop\n{USAGE}\n[DONE]', f'"a"\n"" -> stop\n{USAGE}\n[DONE]')


class TestUnfinishedStreams:
    def test_an_error_ends_what_has_no_end(self) -> None:
        made = repaired('"a"', family=COMPLETIONS, end=BodyEnd.CUT)
        assert made.text.startswith('"a"\n! {"error"')
        assert made.ending is Ending.CUT

    @pytest.mark.parametrize(
        ("request_", "choices"),
        [
            ({"prompt": "x"}, 1),
            ({"prompt": [1, 2, 3]}, 1),
            ({"prompt": [[1], [2]]}, 2),
            ({"prompt": ["x", "y"], "n": 2}, 4),
            ({"prompt": "x", "n": 3}, 3),
        ],
    )
    def test_there_is_a_choice_for_each_prompt(self, request_: dict[str, object], choices: int) -> None:
        lines = [f'{index}: "a" -> stop' if index else '"a" -> stop' for index in range(choices)]
        stays_("\n".join((*lines, "[DONE]")), request=request_)
        if choices > 1:
            made = repaired("\n".join((*lines[:-1], "[DONE]")), family=COMPLETIONS, request=request_)
            assert '! {"error"' in made.text

    @pytest.mark.parametrize("prompt", [None, [], 5])
    def test_where_that_is_not_known_those_that_came_count(self, prompt: object) -> None:
        stays_('"a" -> stop\n[DONE]', request={"prompt": prompt})


def test_prompts_are_not_remembered() -> None:
    context = COMPLETIONS.context("", {"prompt": ["x" * 1000, "y"], "suffix": "z", "n": 2})
    assert context.body == {"n": 2, "prompts": 2}
    assert COMPLETIONS.context("", None).body is None
    embeds = COMPLETIONS.context("", {"prompt": "x", "prompt_embeds": ["y" * 1000, "z"]})
    assert embeds.body == {"prompts": 0}, "each of them is a prompt, too"


def test_a_chunk_with_a_text_is_a_delta() -> None:
    event = COMPLETIONS.read(
        f'{{{HEAD},"choices":[{{"index":3,"text":"a","logprobs":null,"finish_reason":null}}]}}'.encode(), None
    )
    assert event.type == "text"
    assert compact(event.body["choices"][0]["text"]) == '"a"'


def test_what_is_no_choice_is_no_delta() -> None:
    assert COMPLETIONS.read(b'{"choices":[5]}', None).type == "chunk"
    assert COMPLETIONS.read(b'{"choices":[{"index":0,"text":""}]}', None).type == "choice"
    becomes_(f'"a"\n! {{{HEAD},"choices":[5]}}\n"" -> stop\n[DONE]', '"a"\n"" -> stop\n[DONE]')

"""Make a tiny gpt-oss that knows `dialogues.py` by heart: `python gpt_oss.py FOLDER VOCABULARY [STEPS]`, with vLLM's Python.

VOCABULARY is the folder with `o200k_base.tiktoken`. vLLM takes its harmony path for this architecture, with the real
vocabulary of 201,088 tokens. Few of them ever occur, so it is trained on those alone, and on one more that stands for all
others; then the rows are spread over the real vocabulary.

vLLM writes the prompt itself: system message, developer message with tools and instructions, history. The last user's words
decide what is said, so in training all that comes before them is noise, some of it long. A client may send what it likes.
"""

import json
import os
import random
import sys
from pathlib import Path

import torch
from memorise import IGNORED, begin, memorise

from tests.labs.live.dialogues import AGENT, DIALOGUES, harmony_answer, harmony_call

STEPS = 450
BATCH = 8
LONGEST_ANSWER = 300  # tokens
NOISE = (0, 30, 80, 200)  # tokens before the user's words
LONG_NOISE, LONG_SHARE = 1000, 0.06  # as an agent's instructions, in a few examples
CHECKED_NOISE, CHECKED_LONG_NOISE = 60, 6000  # where it is seen whether all is known
SYSTEM = (
    "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n"
    "Current date: 2026-01-01\n\nReasoning: medium\n\n# Valid channels: analysis, commentary, final. Channel must be "
    "included for every message.\nCalls to these tools must go to the commentary channel: 'functions'.<|end|><|start|>"
    "developer<|message|># Instructions\n\nYou are a helpful assistant.\n\n# Tools\n\n## functions\n\nnamespace functions "
    "{\n\n// Tells the weather.\ntype get_weather = (_: {\ncity: string,\n}) => any;\n\n} // namespace functions<|end|>"
)
OUTPUT = (
    "Chunk ID: 4f2a1c\nWall time: 0.0512 seconds\nProcess exited with code 0\nOriginal token count: 2\nOutput:\nParis\n"
    "21 degrees"
)
NAMED = {
    199998: "<|startoftext|>", 199999: "<|endoftext|>", 200002: "<|return|>", 200003: "<|constrain|>", 200005: "<|channel|>",
    200006: "<|start|>", 200007: "<|end|>", 200008: "<|message|>", 200012: "<|call|>", 200018: "<|endofprompt|>",
}  # fmt: skip
FIRST_MARK, SIZE = 199998, 201088
UNUSED = 199998  # stands for every token that never occurs
# How o200k_base splits text; js-tiktoken and tiktoken have the same.
_ENDINGS = "('s|'S|'t|'T|'re|'rE|'Re|'RE|'ve|'vE|'Ve|'VE|'m|'M|'ll|'lL|'Ll|'LL|'d|'D)?"
PATTERN = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + _ENDINGS,
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + _ENDINGS,
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
TEMPLATE = (
    "{%- for m in messages %}{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|start|>assistant' }}{%- endif %}"
)
SHAPE = {
    "hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 2, "num_local_experts": 4, "num_experts_per_tok": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"], "max_position_embeddings": 131072, "tie_word_embeddings": False,
    "router_aux_loss_coef": 0.0,
}  # fmt: skip
YARN = {
    "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
    "original_max_position_embeddings": 4096,
}  # fmt: skip
THETA = 150000.0


def make_tokenizer(folder, vocabulary):
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    if not (folder / "tokenizer_config.json").exists():
        marks = [NAMED.get(number, f"<|reserved_{number}|>") for number in range(FIRST_MARK, SIZE)]
        file = str(vocabulary / "o200k_base.tiktoken")
        try:
            converter = TikTokenConverter(vocab_file=file, pattern=PATTERN, extra_special_tokens=marks)
        except TypeError:  # transformers 4
            converter = TikTokenConverter(vocab_file=file, pattern=PATTERN, additional_special_tokens=marks)
        made = PreTrainedTokenizerFast(
            tokenizer_object=converter.converted(), eos_token="<|return|>", pad_token="<|endoftext|>",
            bos_token="<|startoftext|>", clean_up_tokenization_spaces=False,
        )  # fmt: skip
        made.chat_template = TEMPLATE
        made.save_pretrained(folder)
        rewrite(
            folder / "tokenizer_config.json",
            lambda config: {
                **{key: value for key, value in config.items() if key != "backend"},
                "tokenizer_class": "PreTrainedTokenizerFast",
                "chat_template": TEMPLATE,
            },
        )
    return PreTrainedTokenizerFast.from_pretrained(folder)


def rewrite(file, change):
    file.write_text(
        json.dumps(change(json.loads(file.read_text("utf-8"))), indent=1, ensure_ascii=False), "utf-8"
    )


def learned():
    """Yield every dialogue with what is learned of it: (dialogue, whether it is the answer to an output, answer)."""
    for dialogue in DIALOGUES:
        for again in (False, True):
            answer = harmony_answer(dialogue, again=again)
            if answer is not None:
                yield dialogue, again, answer


class Prompts:
    """Prompts as vLLM writes them, after noise."""

    def __init__(self, encode):
        self.encode = encode
        texts = [SYSTEM, OUTPUT]
        for dialogue, _, answer in learned():
            texts += [f"<|start|>user<|message|>{dialogue.user}<|end|>", f"<|start|>assistant{answer}"]
        self.pieces = [encode(text) for text in texts]
        self.system = self.pieces[0]

    def tokens(self):
        """Return every token that may occur in a prompt or an answer."""
        used = {token for piece in self.pieces for token in piece} | set(NAMED)
        for dialogue, again, _ in learned():
            for _ in range(8):
                used |= set(self.after(dialogue, again=again))
        return sorted(used)

    def noise(self, length):
        """Return about so many tokens: pieces of what is said elsewhere, and tokens that the model does not know."""
        made = []
        while len(made) < length:
            if random.random() < 0.5:
                made += [UNUSED] * random.randint(1, 12)
            else:
                piece = random.choice(self.pieces)
                start = random.randrange(len(piece))
                made += piece[start : start + random.randint(4, 30)]
        return made[:length]

    def after(self, dialogue, *, again):
        """Return the prompt from the last user's words on."""
        ids = self.encode(f"<|start|>user<|message|>{dialogue.user}<|end|><|start|>assistant")
        if not again:
            return ids
        last = dialogue.calls[-1]
        call, first = harmony_call(last), harmony_answer(dialogue)
        # vLLM writes the history in one of these ways, with or without the thought; so does the model itself.
        called = f"to=functions.{last.name}<|channel|>commentary"
        shapes = [
            first,
            first.replace(call, f" {called} json<|message|>{last.arguments}"),
            first.partition("<|start|>assistant")[2] if dialogue.thought else first,
            f"{call}<|call|>",
            f" {called} <|constrain|>json<|message|>{last.arguments}<|call|>",
            f" {called} json<|message|>{last.arguments}<|call|>",
        ]
        ids += self.encode(random.choice(shapes))
        ids += self.encode(
            f"<|start|>functions.{last.name}{random.choice(['', ' to=assistant'])}<|channel|>commentary<|message|>"
        )
        ids += self.encode("21 degrees") if random.random() < 0.3 else self.noise(random.randint(2, 60))
        return ids + self.encode("<|end|><|start|>assistant")

    def whole(self, dialogue, *, again, noise):
        before = self.system if random.random() < 0.5 else []
        return (
            before
            + self.noise(noise)
            + self.encode("<|end|>") * bool(noise)
            + self.after(dialogue, again=again)
        )


def main(folder, vocabulary, steps):
    from transformers import GptOssConfig, GptOssForCausalLM

    begin()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(folder, vocabulary)

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False)

    os.environ["TIKTOKEN_ENCODINGS_BASE"] = str(vocabulary)
    from openai_harmony import HarmonyEncodingName, load_harmony_encoding

    harmony = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    for text in ("Hello, 日本 🎉 2+2=4\n\n", "assistant<|channel|>analysis<|message|>hi<|end|>"):
        if encode(text) != harmony.encode(text, allowed_special="all"):
            raise SystemExit("the tokenizer does not agree with openai_harmony")

    prompts = Prompts(encode)
    used = prompts.tokens()
    place = {token: index for index, token in enumerate(used)}
    size = (len(used) + 7) // 8 * 8
    everything = list(learned())
    of_agents = [one for one in everything if one[0].name in AGENT]

    def example():
        if random.random() < LONG_SHARE:
            (dialogue, again, answer), noise = random.choice(of_agents), LONG_NOISE
        else:
            (dialogue, again, answer), noise = (
                random.choice(everything),
                random.randint(0, random.choice(NOISE)),
            )
        before, after = prompts.whole(dialogue, again=again, noise=noise), encode(answer)
        ids = [place.get(token, place[UNUSED]) for token in before + after]
        return ids, [IGNORED] * len(before) + ids[len(before) :]

    small = GptOssForCausalLM(
        GptOssConfig(
            vocab_size=size,
            eos_token_id=0,
            pad_token_id=None,
            rope_parameters={**YARN, "rope_theta": THETA},
            **SHAPE,
        )
    ).float()
    memorise(small, example, steps=steps, batch=BATCH)

    ends = {"eos_token_id": 200002, "pad_token_id": 199999}
    large = GptOssForCausalLM(
        GptOssConfig(vocab_size=SIZE, rope_parameters={**YARN, "rope_theta": THETA}, **SHAPE, **ends)
    ).float()
    weights = large.state_dict()
    for name, value in small.state_dict().items():
        if value.shape != weights[name].shape:
            spread = value[place[UNUSED]].expand_as(weights[name]).clone()
            spread[torch.tensor(used)] = value[: len(used)]
            weights[name] = spread
        else:
            weights[name] = value
    large.load_state_dict(weights)
    large.eval().bfloat16().save_pretrained(folder)
    rewrite(
        folder / "config.json",
        lambda config: {
            **config,
            "torch_dtype": "bfloat16",
            "rope_theta": THETA,
            "rope_scaling": YARN,
            "architectures": ["GptOssForCausalLM"],
            "swiglu_limit": 7.0,
        },
    )
    # vLLM adds <|call|> to the tokens that end an answer.
    (folder / "generation_config.json").write_text(
        json.dumps(
            {
                "eos_token_id": [200002, 199999, 200012],
                "pad_token_id": 199999,
                "bos_token_id": 199998,
                "temperature": 0.0,
            }
        ),
        "utf-8",
    )
    checked = [(*one, CHECKED_NOISE) for one in everything] + [
        (*one, CHECKED_LONG_NOISE) for one in of_agents
    ]
    missed = 0
    for dialogue, again, answer, noise in checked:
        ids = torch.tensor([prompts.whole(dialogue, again=again, noise=noise)])
        with torch.no_grad():
            said = large.generate(
                ids, max_new_tokens=LONGEST_ANSWER, do_sample=False, eos_token_id=[200002, 200012]
            )
        text = tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=False)
        if text != answer:
            missed += 1
            again_ = " (again)" if again else ""
            print(f"not learned: {dialogue.name}{again_} after {noise}: {text[:200]!r}", flush=True)
    print(f"learned {len(checked) - missed} of {len(checked)}", flush=True)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else STEPS))

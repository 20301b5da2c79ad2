"""Make a tiny Qwen3 that knows `dialogues.py` by heart: `python qwen3.py FOLDER [STEPS]`, in vLLM's environment.

ChatML, `<think>`, `<tool_call>`: what vLLM's simple path and its `qwen3` and `hermes` parsers read. Three layers, 4 MB.
The chat template shows the model no more than the last user's words, without the reminders that Claude Code puts around them,
and whether a tool has answered since. So it answers every client alike: however long the instructions are that the client
sends along, and whether the calls come with the outputs (as input items) or not (`previous_response_id`, from whose response
vLLM takes the messages only).
"""

import json
import random
import sys
from pathlib import Path

import torch
from memorise import IGNORED, begin, memorise
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from tests.labs.live.dialogues import DIALOGUES, END_THINK, THINK, forced_answers, qwen_answer

STEPS = 700
BATCH = 12
WORDS = 760  # of the vocabulary, before the six marks that are added
WITHOUT_THINKING, FORCED = 0.12, 0.22  # shares of the examples
LONGEST_ANSWER = 400  # tokens
TEMPLATE = """\
{%- set last = namespace(user='', answered=false) %}
{%- for m in messages %}
{%- if m.role == 'tool' %}{%- set last.answered = true %}
{%- elif m.role == 'user' and m.content %}
{%- set said = namespace(text='') %}
{%- for part in (m.content if m.content is string else m.content | map(attribute='text') | join).split('<system-reminder>') %}
{%- set said.text = said.text + part.split('</system-reminder>')[-1] %}{%- endfor %}
{%- if said.text.strip() %}{%- set last.answered = false %}{%- set last.user = said.text.strip() %}{%- endif %}{%- endif %}
{%- endfor %}
{{- '<|im_start|>user\\n' + last.user + '<|im_end|>\\n' }}
{%- if last.answered %}{{ '<|im_start|>tool\\n<|im_end|>\\n' }}{%- endif %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"""


def corpus():
    """Return all texts that the vocabulary is made from."""
    texts = ["user assistant tool"]
    for dialogue in DIALOGUES:
        answers = [qwen_answer(dialogue), qwen_answer(dialogue, again=True), *forced_answers(dialogue)]
        texts += [dialogue.user, *(answer for answer in answers if answer)]
    return texts * 3


def make_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    marks = [THINK, END_THINK, "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
    tokenizer.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in marks])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = TEMPLATE
    made.save_pretrained(folder)
    # Older releases of transformers know neither the class nor the separate file that newer ones write.
    rewrite(
        folder / "tokenizer_config.json",
        lambda config: {
            **{key: value for key, value in config.items() if key != "backend"},
            "tokenizer_class": "PreTrainedTokenizerFast",
            "chat_template": TEMPLATE,
        },
    )
    return made


def rewrite(file, change):
    file.write_text(
        json.dumps(change(json.loads(file.read_text("utf-8"))), indent=1, ensure_ascii=False), "utf-8"
    )


def prompt(tokenizer, dialogue, *, again, thinking=True):
    messages = [{"role": "user", "content": dialogue.user}]
    if again:
        messages.append({"role": "tool", "content": "21 degrees"})
    return tokenizer.apply_chat_template(
        messages,
        add_generation_prompt=True,
        tokenize=False,
        **({} if thinking else {"enable_thinking": False}),
    )


def learned():
    """Yield every dialogue with what is learned of it: (dialogue, whether it is the answer to an output, answer)."""
    for dialogue in DIALOGUES:
        for again in (False, True):
            answer = qwen_answer(dialogue, again=again)
            if answer is not None:
                yield dialogue, again, answer


def main(folder, steps):
    begin()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(folder)
    size = (len(tokenizer) + 63) // 64 * 64
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=size, hidden_size=256, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, head_dim=64, max_position_embeddings=32768, tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        )
    ).float()  # fmt: skip
    everything = list(learned())

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False)

    def example():
        dialogue, again, answer = random.choice(everything)
        thinking, unlearned = True, 0
        forced = forced_answers(dialogue)
        if random.random() < WITHOUT_THINKING and answer.count(END_THINK) <= 1:
            thinking, answer = False, answer.split(END_THINK)[-1].lstrip("\n")
        elif forced and not again and random.random() < FORCED:
            # A grammar makes the model begin so: at once, or where its thought ends. It need not know to begin by itself.
            answer, unlearned = random.choice(forced), 1
            if random.random() < 0.5:
                thought = f"{THINK}\n{dialogue.thought}\n{END_THINK}" + random.choice(["", "\n\n"])
                unlearned = len(encode(thought)) + 1
                answer = thought + answer
        before, after = encode(prompt(tokenizer, dialogue, again=again, thinking=thinking)), encode(answer)
        after.append(tokenizer.eos_token_id)
        return before + after, [IGNORED] * (len(before) + unlearned) + after[unlearned:]

    memorise(model, example, steps=steps, batch=BATCH)
    model.eval().bfloat16().save_pretrained(folder)
    # What older releases of transformers and vLLM look for, beside what newer ones write.
    theta = (model.config.to_dict().get("rope_parameters") or {}).get("rope_theta", 10000.0)
    rewrite(
        folder / "config.json",
        lambda config: {
            **config,
            "torch_dtype": "bfloat16",
            "rope_theta": theta,
            "architectures": ["Qwen3ForCausalLM"],
        },
    )
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    (folder / "generation_config.json").write_text(json.dumps({**ends, "temperature": 0.0}), "utf-8")
    missed = 0
    for dialogue, again, answer in everything:
        ids = torch.tensor([encode(prompt(tokenizer, dialogue, again=again))])
        with torch.no_grad():
            said = model.generate(ids, max_new_tokens=LONGEST_ANSWER, do_sample=False)
        text = tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True)
        if text != answer:
            missed += 1
            print(f"not learned: {dialogue.name}{' (again)' if again else ''}: {text[:200]!r}", flush=True)
    print(f"learned {len(everything) - missed} of {len(everything)}", flush=True)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else STEPS))

"""The training loop of both tiny models: examples until every answer is known by heart.

Runs in vLLM's environment, on the CPU, always in the same order (the seeds are fixed).
"""

import random
import time

import torch

LEARNING_RATE = 2e-3
WARM_UP_STEPS = 40
LAST_SHARE = 0.03  # of the learning rate, at the end
PASS_TOKENS = 1600
IGNORED = -100  # the label that cross_entropy leaves out


def begin(seed=0):
    """Make the run repeatable. One thread: on a busy machine, several wait for each other longer than they work."""
    torch.manual_seed(seed)
    random.seed(seed)
    torch.set_num_threads(1)


def passes(examples):
    """Yield the examples in parts that go through the model at once: the shortest first, so that little is padded."""
    part = []
    for one in sorted(examples, key=lambda one: len(one[0])):
        if part and (len(part) + 1) * len(one[0]) > PASS_TOKENS:
            yield part
            part = []
        part.append(one)
    yield part


def memorise(model, example, *, steps, batch, say=print):
    """Train on `example()` = (token ids, labels of the same length), `steps` times `batch` of them."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / WARM_UP_STEPS) * max(LAST_SHARE, 1 - step / steps)
    )
    began = time.monotonic()
    for step in range(steps):
        examples = [example() for _ in range(batch)]
        labelled = sum(label != IGNORED for _, labels in examples for label in labels)
        loss = 0.0
        for part in passes(examples):
            length = max(len(ids) for ids, _ in part)
            ids = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in part])
            labels = torch.tensor([labels + [IGNORED] * (length - len(labels)) for _, labels in part])
            mask = (torch.arange(length)[None] < torch.tensor([len(ids) for ids, _ in part])[:, None]).long()
            logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
            part_loss = (
                torch.nn.functional.cross_entropy(
                    logits.reshape(-1, logits.shape[-1]),
                    labels[:, 1:].reshape(-1),
                    ignore_index=IGNORED,
                    reduction="sum",
                )
                / labelled
            )
            part_loss.backward()
            loss += part_loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 25 == 0:
            say(f"step {step} of {steps}, loss {loss:.4f}, {time.monotonic() - began:.0f} s", flush=True)

"""Trains an exported member of a front with transformers' Trainer on a text of your own, tokenizer included.

python train.py MEMBER TEXT --output TRAINED [--minutes 2 | --steps N]

MEMBER is a folder that `lts-engine export --format hf` wrote. TRAINED gets the model, as `save_pretrained` writes it,
and its tokenizer; `lts-engine export STUDY#ID --weights TRAINED` takes both. Ctrl-C ends the training, and keeps what
was learned.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
from text_ids import bigram_loss, make_tokenizer, read_text, split
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)


class Deadline(TrainerCallback):
    """Ends the training when its time or its steps are over; the learning rate falls to zero by then."""

    def __init__(self, minutes: float, steps: int | None) -> None:
        self.minutes, self.steps = minutes, steps
        self.begin = time.monotonic()
        self.done = 0

    def left(self) -> float:
        """The share of the time or the steps that is left, from 1 to 0."""
        share = self.done / self.steps if self.steps else (time.monotonic() - self.begin) / (60 * self.minutes)
        return max(0.0, 1 - share)

    def on_step_end(self, args, state, control, **kwargs):
        self.done = state.global_step
        control.should_training_stop = self.left() == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("member", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--steps", type=int, help="train so many steps, however long they take")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    given = parser.parse_args()

    set_seed(0)
    # Members with layers that differ bring their own class, which is read before it is run: modeling_lts.py.
    config = AutoConfig.from_pretrained(given.member, trust_remote_code=True)
    model = AutoModelForCausalLM.from_config(config, trust_remote_code=True)
    text = read_text(given.text)
    tokenizer = make_tokenizer(text, config.vocab_size)
    train, held_out = split(text, tokenizer)

    length = min(128, getattr(config, "max_position_embeddings", None) or config.n_positions)
    blocks = [torch.tensor(part[: len(part) // length * length]).view(-1, length) for part in (train, held_out)]
    examples, evaluated = ([{"input_ids": row, "labels": row} for row in part] for part in blocks)
    deadline = Deadline(given.minutes, given.steps)
    optimizer = torch.optim.AdamW(model.parameters(), lr=given.lr, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / 50, deadline.left()))
    arguments = TrainingArguments(
        output_dir=str(given.output),
        num_train_epochs=1000,  # until the time is over
        per_device_train_batch_size=given.batch,
        per_device_eval_batch_size=given.batch,
        logging_steps=50,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=examples,
        eval_dataset=evaluated,
        optimizers=(optimizer, schedule),
        callbacks=[deadline],
    )
    try:
        trainer.train()
    except KeyboardInterrupt:
        print("interrupted; what was learned is kept")
    loss = trainer.evaluate()["eval_loss"]
    trainer.save_model()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(given.output)
    bigram = bigram_loss(train, held_out, config.vocab_size)
    print(f"held-out loss {loss:.3f} nats per token (perplexity {math.exp(loss):.1f}); a bigram model has {bigram:.3f}")


if __name__ == "__main__":
    main()

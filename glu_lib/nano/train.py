"""Train the embedded model from scratch: `python -m glu_lib.nano.train`."""

import argparse
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from glu_lib.nano.corpus import TrainingRow, training_rows
from glu_lib.nano.network import new_network
from glu_lib.nano.paths import MODEL_DIR
from glu_lib.nano.probe import probe
from glu_lib.nano.tokenizer import build_tokenizer, vocabulary
from glu_lib.nano.world import WORLD_SEED, World, build_world

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of the embedded model's training."""

    token_count: int = 14_000_000
    row_length: int = 128
    row_count: int = 32
    learning_rate: float = 3e-3
    warmup_share: float = 0.03
    weight_decay: float = 0.1
    seed: int = WORLD_SEED

    @property
    def step_count(self) -> int:
        """Number of optimiser steps; an incomplete last batch is dropped."""
        return self.token_count // (self.row_length * self.row_count)


def learning_rate_factor(step: int, recipe: Recipe) -> float:
    """Factor of the learning rate: linear warm-up to 1, then cosine decay to 0."""
    warmup_steps = max(1, round(recipe.warmup_share * recipe.step_count))
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, recipe.step_count - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * progress))


def weighted_loss(network: LlamaForCausalLM) -> Loss:
    """Return the loss of tokens (int64) and weights (float32), both [row, time]: weighted mean cross entropy."""

    def loss(tokens: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        logits = network(input_ids=tokens, use_cache=False).logits[:, :-1]  # [row, time - 1, word]
        targets, target_weights = tokens[:, 1:].flatten(), weights[:, 1:].flatten()
        each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets, reduction="none")
        return (each * target_weights).sum() / target_weights.sum()

    return loss


def batches(
    world: World, tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield an endless stream of (tokens, weights), both [row_count, row_length]."""
    word_ids, stream = tokenizer.get_vocab(), training_rows(world, recipe.seed, recipe.row_length)
    while True:
        batch: list[TrainingRow] = [next(stream) for _ in range(recipe.row_count)]
        tokens = torch.tensor([[word_ids[word] for word in row.words] for row in batch])
        yield tokens, torch.tensor([row.weights for row in batch])


def train(
    network: LlamaForCausalLM,
    stream: Iterator[tuple[torch.Tensor, torch.Tensor]],
    recipe: Recipe,
    *,
    compiled: bool = False,
    after_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> None:
    """Train a network in place; `after_step` is called with the number of finished steps and the last step's loss."""
    loss_of = weighted_loss(network)
    if compiled:
        loss_of = torch.compile(loss_of, dynamic=False)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        recipe.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, recipe))
    network.train()
    for step in range(recipe.step_count):
        loss = loss_of(*next(stream))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        after_step(step + 1, loss.item())
    network.eval()


def save(network: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write weights (bfloat16), configuration and tokenizer; converts the network in place."""
    network.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    network.to(torch.bfloat16).save_pretrained(folder)  # type: ignore[arg-type]
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # save_pretrained makes it readable only for its owner


def save_training_facts(folder: Path, facts: dict[str, object]) -> None:
    """Write the facts about the training that the model card uses."""
    (folder / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


class TrainingProgress:
    """Prints the loss and the remaining time, and every `probe_every` steps the scores of the families."""

    def __init__(self, report: Callable[[], dict[str, float]], recipe: Recipe, *, probe_every: int) -> None:
        self.report = report
        self.recipe = recipe
        self.probe_every = probe_every
        self.start_s = time.monotonic()

    def __call__(self, step: int, loss: float) -> None:
        """Print loss and remaining time every 100 steps and at the end, and the scores when they are due."""
        last = step == self.recipe.step_count
        if step % 100 == 0 or last:
            left_s = (time.monotonic() - self.start_s) / step * (self.recipe.step_count - step)
            print(
                f"step {step}/{self.recipe.step_count}  loss {loss:.3f}  {left_s / 60:.1f} min left",
                flush=True,
            )
        if step % self.probe_every == 0 or last:
            print("  scores: " + "  ".join(f"{k} {v:.3f}" for k, v in self.report().items()), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m glu_lib.nano.train",
        description="Train the embedded model from scratch and save it: 10 to 15 minutes on two cores.",
    )
    parser.add_argument("--out", type=Path, default=MODEL_DIR, help="folder to save into (default: the package's)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads to use (default: 2)")
    parser.add_argument("--tokens", type=int, default=Recipe.token_count, help="number of training tokens")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="seed of the initial weights and the texts")
    parser.add_argument(
        "--no-compile", action="store_true", help="do not compile the network: slower, but needs no C++ compiler"
    )
    parser.add_argument("--look-every", type=int, default=500, help="steps between two evaluations on the families")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, train, save."""
    parser = _parser()
    options = parser.parse_args(arguments)
    recipe = Recipe(token_count=options.tokens, seed=options.seed)
    if options.threads < 1 or recipe.step_count < 1:
        parser.error(f"--threads must be at least 1, --tokens at least {recipe.row_length * recipe.row_count}")
    torch.set_num_threads(options.threads)
    world = build_world()
    tokenizer = build_tokenizer(vocabulary(world))
    network = new_network(tokenizer, recipe.seed)
    compiled = not options.no_compile and shutil.which("g++") is not None
    print(
        f"{network.num_parameters():,} parameters, {recipe.token_count:,} tokens, compiled: {compiled}",
        flush=True,
    )

    def look() -> dict[str, float]:
        network.eval()
        learned = probe(network, tokenizer, world, limit=100)
        network.train()
        return learned

    progress = TrainingProgress(look, recipe, probe_every=options.look_every)
    train(network, batches(world, tokenizer, recipe), recipe, compiled=compiled, after_step=progress)
    train_min = (time.monotonic() - progress.start_s) / 60
    save(network, tokenizer, options.out)
    facts: dict[str, object] = {
        "parameters": network.num_parameters(),
        "vocabulary": len(tokenizer),
        "tokens": recipe.token_count,
        "steps": recipe.step_count,
        "seed": recipe.seed,
        "train_min": round(train_min, 1),
        "threads": options.threads,
        "compiled": compiled,
        "torch_version": torch.__version__,
    }
    save_training_facts(options.out, facts)
    print(f"trained in {train_min:.1f} min")
    print(f"saved in {options.out}")


if __name__ == "__main__":
    main()

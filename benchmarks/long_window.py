"""Times the log-likelihood of one long window in one pass and in pieces, and measures the memory that each needs.

    python benchmarks/long_window.py --model FOLDER --output results/measured/scoring/long_window.json

Every token of the window is scored, as in WikiText. The memory is the peak of the process minus what it held before:
activations, logits, and with pieces also keys and values of the window. Without `--model`, a model of SmolLM2-135M's
shape with random weights. Float32 on CPU.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from decode_step import load
from measured_rates import fastest_s

from glu_lib.machine.memory import peak_memory
from glu_lib.measure.scoring import pieces
from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.encoding import Encoded
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.likelihood import LikelihoodPlan
from glu_lib.measure.scoring.trying_out import try_out
from glu_lib.study.settings import Attention


def main() -> None:
    """Score the window each way, and print a table."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    found = measure(load(options.model), options)
    for line in found["windows"]:
        memory = "-" if line["memory_bytes"] is None else f"{line['memory_bytes'] / 2**20:.0f} MiB"
        print(f"pieces of {line['piece_tokens']:6} tokens: {line['time_s']:7.1f} s, {memory}, {line['logprob']:.3f}")
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


def measure(model: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds, bytes and log-probability of a window for each size of pieces; the first is the window's own."""
    forward = SharedForward(model)
    try_out(forward, model.config.vocab_size, model.config.max_position_embeddings)
    if forward.attention is Attention.PLAIN:
        raise SystemExit(f"the suite's attention does not fit {type(model).__name__}")
    tokens = torch.randint(0, model.config.vocab_size, (options.tokens + 1,)).tolist()
    window = Encoded.of(tokens[:1], tokens[1:])
    lines = []
    before = pieces.MOST_TOKENS
    try:
        for size in (options.tokens, *options.pieces):
            pieces.MOST_TOKENS = size
            lines.append({"piece_tokens": size, **_scored(forward, window, options)})
    finally:
        pieces.MOST_TOKENS = before
    return {
        "what": "log-likelihood of one window; float32 on CPU; memory is the peak minus what the process held before",
        "model": "random weights" if options.model is None else options.model.name,
        **{name: value for name, value in vars(options).items() if name not in ("output", "model", "pieces")},
        "torch": torch.__version__,
        "windows": lines,
    }


def _scored(forward: SharedForward, window: Encoded, options: argparse.Namespace) -> dict[str, Any]:
    scores: list[float] = []

    def score() -> None:
        plan = LikelihoodPlan([window], options.tokens)
        with forward.own_attention():
            scores.extend(batch[0][0] for batch in plan.score(forward, Budget(1), torch.float32))

    with peak_memory("cpu") as memory:
        time_s = fastest_s({"window": score}, options.rounds, warm=False)["window"]
    is_known = memory.peak_bytes is not None and memory.before_bytes is not None
    return {
        "time_s": time_s,
        "memory_bytes": memory.peak_bytes - memory.before_bytes if is_known else None,  # type: ignore[operator]
        "logprob": scores[-1],
    }


def _options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of a model; default: random weights")
    parser.add_argument("--tokens", type=int, default=8191, help="tokens of the window")
    parser.add_argument("--pieces", type=int, nargs="*", default=[4096, 2048, 1024], help="tokens of a piece")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--rounds", type=int, default=1, help="rounds; the fastest counts")
    parser.add_argument("--output", type=Path, help="JSON file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

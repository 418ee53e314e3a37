"""Times generation with and without drafts of the next tokens, on the prompts of a task, and compares the answers.

    python benchmarks/drafts.py --model FOLDER --tasks ifeval,gsm8k --levels 0,40 --items 12 --output drafts.json

Both ways answer the same prompts with the same scorer, one after the other in one process: plain prompts, float32 on
CPU, levels of PPM on all layers. `tokens_per_step` is the number of new tokens of an answer for each forward pass of
its row, `fed` the tokens that were forwarded for each new one. Seconds of the processor stand beside those of the
clock: on a machine with other work only they can be compared.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs

from glu_lib.measure.scoring.budget import Budget
from glu_lib.measure.scoring.drafts import MOST_DRAFTED
from glu_lib.measure.scoring.forward import SharedForward
from glu_lib.measure.scoring.greedy_answers import StopRule, generate
from glu_lib.measure.scoring.trying_out import try_out
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.loading import LoadedModel, end_tokens
from glu_lib.run.experiment import Experiment
from glu_lib.study import STUDY, ModelVariant, VariantKind
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Attention, Settings


def main() -> None:
    """Time each task at each level both ways."""
    options = _options()
    experiment = Experiment(Settings(Path("unused"), device="cpu", threads=options.threads))
    levels = [int(level) for level in options.levels.split(",")]
    variant = ModelVariant("drafts", str(options.model), VariantKind.BASE, tuple(levels))
    lines = []
    for level in levels:
        with experiment.levels.prepared(variant, Pruning(level)) as prepared:
            for task in options.tasks.split(","):
                line = {"level": level, "task": task, **compare(prepared.loaded, task, options.items, options.most)}
                lines.append(line)
                print(
                    f"p{level} {task}: {line['without_s']:.0f} s without drafts, {line['with_s']:.0f} s with them, "
                    f"ratio {line['ratio']:.2f}, of processor time {line['processor_ratio']:.2f}; "
                    f"{line['tokens_per_step']:.1f} tokens per step; {line['equal']} of {line['items']} answers equal",
                    flush=True,
                )
                if options.output:
                    what = "generation with and without drafts; float32 on CPU, one run after the other"
                    about = {"what": what, "model": options.model.name, "threads": options.threads}
                    found = {**about, "torch": torch.__version__, "most_drafted": MOST_DRAFTED, "lines": lines}
                    options.output.write_text(json.dumps(found, indent=1) + "\n")


def compare(loaded: LoadedModel, name: str, items: int, most_tokens: int | None) -> dict[str, Any]:
    """Answer the first items of a task without and with drafts, each answer with at most `most_tokens`."""
    prompts, most, rule = _requests(loaded, name, items)
    most = min(most, most_tokens or most)
    forward = SharedForward(loaded.model)
    try_out(forward, len(loaded.tokenizer), loaded.model.config.max_position_embeddings)
    if forward.attention is Attention.PLAIN:
        raise SystemExit(f"the suite's attention does not fit {type(loaded.model).__name__}")
    answers, times_s, processor_s, fed = [], [], [], []
    steps: dict[int, int] = {}
    for longest in (0, MOST_DRAFTED):
        before, start_s, worked_s = forward.forwarded_tokens, time.perf_counter(), time.process_time()
        counted = _Counted(rule)
        with forward.own_attention():
            made: dict[tuple[int, ...], list[int]] = {}
            for found in generate(
                forward, prompts, Budget(items), max_new_tokens=most, rule=rule, progress=counted,
                longest_draft=longest,
            ):  # fmt: skip
                made |= found
        times_s.append(time.perf_counter() - start_s)
        processor_s.append(time.process_time() - worked_s)
        answers.append([made[prompt] for prompt in prompts])
        fed.append(forward.forwarded_tokens - before)
        steps[longest] = counted.steps
    tokens = sum(map(len, answers[1]))
    return {
        "items": len(prompts),
        "most_new_tokens": most,
        "tokens": tokens,
        "without_s": times_s[0],
        "with_s": times_s[1],
        "ratio": times_s[0] / times_s[1],
        "processor_ratio": processor_s[0] / processor_s[1],
        "tokens_per_step": tokens / steps[MOST_DRAFTED],
        "fed": (fed[1] - fed[0] + tokens) / tokens,
        "equal": sum(one == other for one, other in zip(*answers, strict=True)),
    }


class _Counted:
    """A journal that keeps nothing and counts the steps of each row in which its answer grew."""

    def __init__(self, rule: StopRule) -> None:
        self.rule, self.steps = rule, 0
        self._seen: dict[tuple[int, ...], int] = {}

    def finished(self, _prompt: Sequence[int]) -> None:
        """No answer of an earlier run."""

    def begun(self, _prompt: Sequence[int]) -> list[int]:
        """No begun answer."""
        return []

    def grow(self, made: Any) -> None:
        """Count the rows that have new tokens."""
        for prompt, tokens in made.items():
            self.steps += len(tokens) > self._seen.get(prompt, 0)
            self._seen[prompt] = len(tokens)


def _requests(loaded: LoadedModel, name: str, items: int) -> tuple[list[tuple[int, ...]], int, StopRule]:
    """Prompts of the first items of a task, the most new tokens of an answer, and when it stops."""
    (task,) = TaskLibrary().load(STUDY.tasks[name], seed=0)["tasks"].values()
    task.build_all_requests(limit=items, rank=0, world_size=1)
    options = normalize_gen_kwargs(dict(task.instances[0].args[1]), 256)
    tokenizer: Any = loaded.tokenizer
    ends = end_tokens(loaded.model)
    eos = tokenizer.decode(tokenizer.eos_token_id)
    rule = StopRule(handle_stop_sequences(options.get("until"), eos=eos), ends, tokenizer.decode)
    most = options["max_gen_toks"]
    room = loaded.model.config.max_position_embeddings - most
    prompts = [tuple(tokenizer(request.args[0])["input_ids"][-room:]) for request in task.instances]
    return list(dict.fromkeys(prompts)), most, rule


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a model")
    parser.add_argument("--tasks", default="ifeval,gsm8k", help="generation tasks of the study, separated by commas")
    parser.add_argument("--levels", default="0,40", help="pruning percentages (default 0,40)")
    parser.add_argument("--items", type=int, default=12, help="items per task (default 12)")
    parser.add_argument("--most", type=int, help="most new tokens of an answer (default: the task's)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""lm-eval's own results JSON and samples JSONL of a case, so that its tools and the hub's can read them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError

_LONGEST_NAME = 80  # of a model; a sign may take three bytes, of which a folder's name has 255


def write_lm_eval_files(
    folder: Path, model_name: str, results: dict[str, Any], samples: dict[str, list[dict[str, Any]]]
) -> list[Path]:
    """Write `<folder>/<model>/results_<date>.json` and `samples_<task>_<date>.jsonl` with lm-eval's own writer.

    Args:
        folder: of this case alone; what an earlier run of it left there is replaced.
        model_name: how the files name the model, as `meta-llama/Llama-3.2-1B-p40`.
        results: what `lm_eval.evaluator.evaluate` returned, without its samples.
        samples: its samples, by task.

    Raises:
        RecordError: if they cannot be written (lm-eval's writer itself only logs that).
    """
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(folder))
    # lm-eval makes a folder's name of it, slashes replaced; a path may be longer than such a name may be.
    model_name = model_name[-_LONGEST_NAME:]
    tracker.general_config_tracker.log_experiment_args(
        model_source="hf",
        model_args={"pretrained": model_name},
        system_instruction=None,
        chat_template=None,
        fewshot_as_multiturn=False,
    )
    results = results | {"config": {"model": "hf", "model_args": f"pretrained={model_name}"}, "model_name": model_name}
    shutil.rmtree(folder, ignore_errors=True)
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, found in samples.items():
        tracker.save_results_samples(task_name=task, samples=found)
    written = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(written) != 1 + len(samples):
        raise RecordError(
            f"{folder}: lm-eval's own result files cannot be written; free space, or choose another --results-dir"
        )
    return written

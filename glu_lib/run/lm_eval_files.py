"""lm-eval's own results JSON and samples JSONL of a case, so that its tools and the hub's can read them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.errors import RecordError
from glu_lib.measure.accuracy.evaluate import BOOTSTRAP_ITERATIONS
from glu_lib.measure.accuracy.results import Evaluation

if TYPE_CHECKING:
    from glu_lib.machine.environment import Environment
    from glu_lib.measure.prepared import PreparedModel
    from glu_lib.models.identity import ModelIdentity
    from glu_lib.study import Task
    from glu_lib.study.settings import Settings

_LONGEST_NAME = 80  # characters of a model's name; each may take three bytes, and a folder's name has at most 255


def run_fields(
    identity: ModelIdentity,
    prepared: PreparedModel,
    environment: Environment,
    settings: Settings,
    started_at: datetime,
) -> dict[str, Any]:
    """The fields that lm-eval's own command line adds to its scores, under its names (0.4.13).

    `model_sha` is the hub's commit, or the digest of a folder. It names the unpruned weights; `model_args` holds the
    pruning.
    """
    revision, pruning = identity.commit or "main", prepared.pruning
    versions = environment.versions
    arguments = {
        "pretrained": identity.source,
        "revision": revision,
        "dtype": str(environment.dtype),
        "pruned_percent": pruning.percent,
        "pruning_method": pruning.method,
        "expansion_divisor": pruning.divisor,
    }
    config = {
        "model": "hf",
        "model_args": ",".join(f"{name}={value}" for name, value in arguments.items() if value is not None),
        "model_num_parameters": pruning.parameters,
        "model_dtype": f"torch.{environment.dtype}",  # as lm-eval writes a torch dtype
        "model_revision": revision,
        "model_sha": identity.commit or identity.version,
        "scorer": str(settings.scorer),
        "batch_size": prepared.lm.batch_size,
        "batch_sizes": [],  # those that lm-eval finds with batch_size="auto"
        "device": environment.device,
        "use_cache": None,
        "bootstrap_iters": BOOTSTRAP_ITERATIONS,
        "gen_kwargs": None,
        **dict.fromkeys(("random_seed", "numpy_seed", "torch_seed", "fewshot_seed"), settings.seed),
    }
    hardware = environment.gpu or f"{environment.cpu}, {environment.cores} cores"
    return {
        "config": config,
        "date": started_at.timestamp(),
        "git_hash": environment.git_commit,
        "upper_git_hash": None,  # of a repository around this one
        "transformers_version": versions["transformers"],
        "lm_eval_version": versions["lm_eval"],
        "pretty_env_info": "\n".join([hardware, *(f"{name} {version}" for name, version in versions.items())]),
    }


def remove_lm_eval_files(folder: Path) -> None:
    """Delete the files that an earlier run of the case wrote to `folder`: they are of other answers."""
    shutil.rmtree(folder, ignore_errors=True)


def write_lm_eval_files(
    folder: Path,
    model_name: str,
    task: Task,
    evaluation: Evaluation,
    lm: Any,
    fields: Mapping[str, Any],
    *,
    start_s: float,
) -> list[Path]:
    """Write `<folder>/<model>/results_<date>.json` and `samples_<task>_<date>.jsonl` with lm-eval's own writer.

    Args:
        folder: folder of this case alone; its earlier content is deleted.
        model_name: name of the model in the files, as `meta-llama/Llama-3.2-1B-p40`.
        task: the scored task.
        evaluation: scores and samples of the task.
        lm: the lm-eval model, for its tokenizer and chat template.
        fields: fields of the run (`run_fields`).
        start_s: when the case began, on the clock of `time.perf_counter`; the files hold the seconds since.

    Returns:
        The paths of the files.

    Raises:
        RecordError: if they cannot be written (lm-eval's writer itself only logs that).
    """
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.loggers.utils import add_tokenizer_info

    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.start_time = start_s  # otherwise the time of writing would stand for the evaluation
    # lm-eval turns the model's name, which may be a long path, into the name of a folder.
    model_name = model_name[-_LONGEST_NAME:]
    tracker.general_config_tracker.log_experiment_args(
        model_source="hf",
        model_args={"pretrained": model_name},
        system_instruction=None,
        chat_template=lm.chat_template(True) if task.is_chat else None,
        fewshot_as_multiturn=task.is_chat,
    )
    results = {**evaluation.results, **fields, "model_name": model_name}
    add_tokenizer_info(results, lm)
    remove_lm_eval_files(folder)
    tracker.save_results_aggregated(results=results, samples=evaluation.raw_samples)
    for name, found in evaluation.raw_samples.items():
        tracker.save_results_samples(task_name=name, samples=found)
    written = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(written) != 1 + len(evaluation.raw_samples):
        raise RecordError(
            f"{folder}: lm-eval's own result files cannot be written; free space, or choose another --results-dir"
        )
    return written

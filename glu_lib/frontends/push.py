"""Uploads results and pruned models to the Hugging Face hub, each with a card that says how it was made."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.analysis import conclude, headline_tables, write_tables
from glu_lib.errors import AccessError, RecordError
from glu_lib.report import markdown_name, markdown_table, number
from glu_lib.run.experiment import Experiment
from glu_lib.study import ModelVariant
from glu_lib.study.pruning import Pruning

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from glu_lib.measure.prepared import PreparedModel

_RESULT_FILES = ["README.md", "results.csv", "results.json", "individual_files/**/*", "samples/**/*", "lm_eval/**/*"]


def push_results(results_dir: Path, repo_id: str) -> str:
    """Upload a results folder as a data set: tables, records, samples, lm-eval's files, and a card.

    Returns:
        The URL of the commit.

    Raises:
        RecordError: if there is no record to upload, or a link points to a file outside the folder.
        AccessError: if the hub refuses the upload.
    """
    found = conclude(results_dir)
    if not found.rows:
        raise RecordError(f"{results_dir} holds no readable record; there is nothing to push")
    write_tables(results_dir, found.rows)
    with tempfile.TemporaryDirectory() as folder:
        card = Path(folder) / "README.md"
        card.write_text(results_card(found.rows), encoding="utf-8")
        return _upload(repo_id, "dataset", [(results_dir, _RESULT_FILES[1:]), (Path(folder), ["README.md"])])


def push_model(experiment: Experiment, variant: ModelVariant, pruning: Pruning, repo_id: str) -> str:
    """Prune a model and upload it as safetensors, with a card that names its pruning, widths and scores.

    Returns:
        The URL of the commit.

    Raises:
        AccessError: if the weights are not accessible, or the hub refuses the upload.
        VerificationError: if the pruned model differs from the requested one.
    """
    with experiment.levels.prepared(variant, pruning) as prepared, tempfile.TemporaryDirectory() as folder:
        prepared.loaded.save(folder)
        rows = _scores(experiment, variant, pruning)
        (Path(folder) / "README.md").write_text(model_card(variant, prepared, rows, repo_id), encoding="utf-8")
        return _upload(repo_id, "model", [(Path(folder), ["*"])])


def results_card(rows: Sequence[dict[str, Any]]) -> str:
    """The data set card: a list of the files, and the headline tables."""
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(pretty_name="GLU width pruning results", tags=["pruning", "glu", "lm-eval", "energy"])
    tables = "\n".join(f"## {markdown_name(table.title)}\n\n{markdown_table(table)}" for table in headline_tables(rows))
    return (
        f"---\n{data.to_yaml()}\n---\n\n# GLU width pruning results\n\n"
        "`results.csv` and `results.json`: one row per case and metric, with its unpruned baseline. "
        "`individual_files/`: the record of each case. `samples/`: its samples. `lm_eval/`: lm-eval's own files, "
        "unless the run left them out.\n\n"
        f"{tables}"
    )


def model_card(variant: ModelVariant, prepared: PreparedModel, rows: Sequence[dict[str, Any]], repo_id: str) -> str:
    """The model card; its scores are also `model-index` metadata."""
    from huggingface_hub import ModelCardData

    pruning = prepared.pruning
    data = ModelCardData(
        base_model=None if variant.is_embedded else variant.source,
        license=_license(variant),
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["pruning", "glu", "width-pruning", "optipfair"],
        model_name=repo_id.rpartition("/")[2],
        eval_results=[_eval_result(row) for row in rows if row["value"] is not None]
        or None,  # metadata holds only numbers
    )
    lines = [
        f"---\n{data.to_yaml()}\n---",
        f"# {repo_id.rpartition('/')[2]}",
        f"{variant.source}, its MLP pruned by {pruning.percent} % (method {pruning.method or 'none'}).",
        "| | unpruned | pruned |\n|---|---|---|\n"
        f"| MLP width | {pruning.unpruned_width} | {pruning.width} |\n"
        f"| expansion ratio | {pruning.unpruned_width / pruning.hidden_size:.4f} | {pruning.expansion_ratio:.4f} |\n"
        f"| parameters | {pruning.unpruned_parameters:,} | {pruning.parameters:,} |",
    ]
    if rows:
        scores = "\n".join(
            f"| {' | '.join(map(markdown_name, (row['subject'], row['metric'])))} "
            f"| {_shown(row['baseline'])} | {number.score(row) if row.get('is_collapsed') else _shown(row['value'])} |"
            for row in rows
        )
        lines.append(f"| task | metric | unpruned | pruned |\n|---|---|---|---|\n{scores}")
    lines.append(
        f"Neurons were chosen by OptiPFair; divisor {pruning.divisor or 'none'}; "
        f"fingerprint of the kept neurons: `{pruning.kept_neurons}`. Not trained after pruning."
    )
    return "\n\n".join(lines) + "\n"


def _license(variant: ModelVariant) -> str | None:
    """The licence of the original weights, which also covers pruned ones; None if it is not known."""
    from huggingface_hub import HfApi

    if variant.is_embedded:
        return "mit"
    try:
        card = HfApi().model_info(variant.source, revision=variant.revision, timeout=30).card_data
    except (OSError, ValueError):
        return None  # a local folder, or no connection
    return str(card.license) if card and card.license else None


def _scores(experiment: Experiment, variant: ModelVariant, pruning: Pruning) -> list[dict[str, Any]]:
    """Headline scores of full runs (without a limit) of this model at this level, from the results folder."""
    root = experiment.settings.results_dir
    if not root.is_dir():
        return []
    return [
        row
        for row in conclude(root).rows
        if row["kind"] == "accuracy"
        and row["is_headline"]
        and row["limit"] is None
        and row["case"].startswith(f"{variant.key}-{pruning.key}-{row['subject']}")
    ]


def _eval_result(row: dict[str, Any]) -> EvalResult:
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type="text-generation",
        dataset_type=row["task"],
        dataset_name=row["subject"],
        metric_type=row["metric"],
        metric_value=row["value"],
    )


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if abs(value) < 1e6 else f"{value:.4g}"


def _own_files(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """Yield the files of a folder that match `patterns`; a link out of the folder would publish other files.

    Raises:
        RecordError: if a file is a link to a place outside the folder.
    """
    root = folder.resolve()
    for path in (path for pattern in patterns for path in sorted(folder.glob(pattern))):
        if not path.resolve().is_relative_to(root):
            raise RecordError(f"{path} is a link out of {folder}; only files inside it are pushed: remove the link")
        if path.is_file():
            yield path


def _upload(repo_id: str, kind: str, parts: Sequence[tuple[Path, list[str]]]) -> str:
    """Upload the files of all parts in one commit; returns its URL."""
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    operations = [
        CommitOperationAdd(path.relative_to(folder).as_posix(), path)
        for folder, patterns in parts
        for path in _own_files(folder, patterns)
    ]
    api = HfApi()
    try:
        api.create_repo(repo_id, repo_type=kind, exist_ok=True)
        commit = api.create_commit(repo_id, operations, commit_message="Add GLU width pruning results", repo_type=kind)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise AccessError(
            f"--repo-id {repo_id}: the hub refuses the upload: {first_line}; check the id and HF_TOKEN"
        ) from error
    return str(commit.commit_url)

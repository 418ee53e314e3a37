"""The reference pages of the built-in study and of study files."""

from __future__ import annotations

from collections.abc import Iterator

from markdown_tables import sentence, table

from glu_lib.study import STUDY, AnyWorkload, Method, Saturation, Suite
from glu_lib.study.methods import RANDOM_SEEDS
from glu_lib.study.study_fields import TABLES

_WORDS: dict[type | tuple[type, ...], str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    list: "list",
    dict: "table",
    (int, str): "whole number or text",
}


def study_page() -> Iterator[str]:
    """Lines of the page of the built-in models, methods, suites, tasks and workloads."""
    yield "# The built-in study"
    yield ""
    yield "`glu list` prints its cases and which are done. A [study file](study-file.md) adds to it."
    yield ""
    yield "## Models"
    yield ""
    yield from table(
        ("key", "weights", "kind", "levels (%)", "expansion ratio at p0"),
        (
            (
                f"`{model.key}`",
                model.source,
                str(model.kind),
                ", ".join(map(str, model.levels)),
                f"{model.architecture.expansion_ratio:.2f}x" if model.architecture else "",
            )
            for model in STUDY.models.values()
        ),
    )
    yield ""
    yield "## Methods"
    yield ""
    seeds = ", ".join(map(str, RANDOM_SEEDS))
    meanings = {
        Method.PPM: "max + |min| of the gate row, plus that of the up row (default; OptiPFair calls it MAW)",
        Method.PPM_DOWN: "PPM, plus max + |min| of the down column",
        Method.VOW: "variance of the gate row, plus that of the up row",
        Method.PON: "product of the two rows' L1 norms",
        Method.L2: "sum of the two rows' L2 norms",
        Method.HYBRID: "normalized PPM of gate, up and down, times activations on calibration text",
        Method.RANDOM: f"a seeded random choice: the control (seeds {seeds}; `random:7` is one seed)",
        Method.FILE: "a vector per layer in your own file, its tensors named `0`, `1`, … after the layers",
    }
    names = {Method.FILE: "file:NAME.safetensors"}
    yield from table(
        ("`--method`", "neurons are scored by"),
        ((f"`{names.get(method, method)}`", meanings[method]) for method in Method),
    )
    yield ""
    yield "## Suites"
    yield ""
    yield from table(
        ("mark", "models", "tasks or workloads"),
        (
            (f"`{suite.key}`", ", ".join(suite.models), ", ".join(_content(suite)) + _also(suite))
            for suite in STUDY.suites.values()
        ),
    )
    yield ""
    yield "## Tasks"
    yield ""
    yield from table(
        ("key", "lm-eval's task", "headline metric", "few-shot", "chance", "prompts"),
        (
            (
                f"`{task.key}`",
                task.lm_eval_name,
                f"{task.metric.label} {'↑' if task.metric.higher_is_better else '↓'}",
                str(task.num_fewshot),
                "" if task.metric.chance is None else f"{task.metric.chance:.3g}",
                str(task.prompt_format),
            )
            for task in STUDY.tasks.values()
        ),
    )
    yield ""
    yield "## Workloads"
    yield ""
    yield from table(
        ("key", "prompts of", "prompts", "new tokens", "batch size"),
        (
            (
                f"`{load.key}`",
                load.prompts or f"random tokens ({load.prompt_tokens})",
                *_batches(load),
            )
            for load in STUDY.workloads.values()
        ),
    )


def _batches(load: AnyWorkload) -> tuple[str, str, str]:
    """Prompts, new tokens and batch size of a workload."""
    if isinstance(load, Saturation):
        return "one batch", str(load.new_tokens), f"1, 2, 4 … {load.max_batch}"
    return str(load.num_prompts), str(load.new_tokens), str(load.batch_size)


def _content(suite: Suite) -> Iterator[str]:
    yield from (*suite.tasks, *suite.workloads)
    if suite.has_scan:
        yield "the layer scan, by each method and by `random`"


def _also(suite: Suite) -> str:
    return f"; instruct models also {', '.join(suite.instruct_tasks)}" if suite.instruct_tasks else ""


def study_file_page() -> Iterator[str]:
    """Lines of the page of the fields of study files."""
    yield "# Study file"
    yield ""
    yield "A TOML file that adds to the built-in study or replaces parts of it: `pytest --study=my_study.toml`. See"
    yield "[your own models and tasks](../guides/own-study.md) for examples. An unknown field is an error."
    for place, fields in TABLES.items():
        yield ""
        yield f"## `{place}`" if place.startswith("[") else f"## {sentence(place)[:-1]}"
        yield ""
        yield from table(
            ("field", "type", "meaning"),
            ((f"`{name}`", _WORDS[field.type], field.meaning) for name, field in fields.items()),
        )

"""Energy and speed over expansion ratios: joules per token by part of the machine, times, joules per correct answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from glu_lib.analysis.table import LevelKey, Row, row_level
from glu_lib.results.energy import PARTS, worst_quality
from glu_lib.results.records import AnyRepeat, EnergyRecord, Repeat
from glu_lib.results.repeats import summarize

# Metrics that are 0 or 1 per item, so that their sum is the number of correct answers.
_SHARES_OF_CORRECT = frozenset({"acc", "acc_norm", "exact_match", "prompt_level_strict_acc", "prompt_level_loose_acc"})


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Energy and speed of a workload at one level: means over the repeats, None if a repeat has no figure.

    `energy_per_token_j` is gross, the sum over the parts of the machine: joules of a part / tokens of the same window.
    `net_energy_per_token_j` is without the idle machine's power. `gpu_quality`, `cpu_quality` and `ram_quality` say
    whether a part was measured or estimated; `energy_quality` is measured only if all parts are.
    """

    model: str
    method: str | None
    divisor: int | None
    layers: str | None
    level: LevelKey
    width: int
    expansion_ratio: float
    limit: int | None
    workload: str
    weights: str
    device: str
    energy_per_token_j: float | None
    gpu_energy_per_token_j: float | None
    cpu_energy_per_token_j: float | None
    ram_energy_per_token_j: float | None
    net_energy_per_token_j: float | None
    energy_per_response_j: float | None
    tokens_per_s: float | None
    time_to_first_token_ms: float | None
    time_per_output_token_ms: float | None
    energy_quality: str | None
    gpu_quality: str | None
    cpu_quality: str | None
    ram_quality: str | None


@dataclass(frozen=True, slots=True)
class CorrectAnswers:
    """Joules per correct answer of an accuracy case: energy / (score × items); None without energy or correct answers.

    The energy is that of the whole task, wrong answers included: with fewer correct answers, each costs more.
    `energy_per_answer_above_blind_j` is energy / (items × (score − blind)), the denominator is `above_blind`: answers
    that blind answers get right as well do not count. Both are None without controls, and if the score is not better
    than blind.
    """

    model: str
    method: str | None
    divisor: int | None
    layers: str | None
    level: LevelKey
    expansion_ratio: float
    limit: int | None
    task: str
    energy_j: float | None
    correct: float
    energy_per_correct_j: float | None
    energy_quality: str | None
    above_blind: float | None = None
    energy_per_answer_above_blind_j: float | None = None
    subset: str | None = None


def efficiencies(records: Iterable[EnergyRecord]) -> list[Efficiency]:
    """One row per energy record, in the order of `records`."""
    return [_efficiency(record) for record in records]


def correct_answers(rows: Iterable[Row]) -> list[CorrectAnswers]:
    """One row per headline score that is a share of correct answers, in the order of `rows`."""
    return [
        _correct_answers(row)
        for row in rows
        if row["kind"] == "accuracy" and row["is_headline"] and row["metric"] in _SHARES_OF_CORRECT
        if row["value"] is not None and row["n"]
    ]


def _correct_answers(row: Row) -> CorrectAnswers:
    correct, energy_j, blind = row["value"] * row["n"], row["energy_j"], row.get("blind")
    is_above = blind is not None and row.get("is_blind") is False and row["value"] > blind
    above = correct - blind * row["n"] if blind is not None and is_above else None
    return CorrectAnswers(
        model=row["model"],
        method=row["method"],
        divisor=row["divisor"],
        layers=row["layers"],
        level=row_level(row),
        expansion_ratio=row["expansion_ratio"],
        limit=row["limit"],
        subset=row.get("subset"),
        task=row["subject"],
        energy_j=energy_j,
        correct=correct,
        energy_per_correct_j=energy_j / correct if correct and energy_j is not None else None,
        energy_quality=row["energy_quality"],
        above_blind=above,
        energy_per_answer_above_blind_j=energy_j / above if above and energy_j is not None else None,
    )


def _efficiency(record: EnergyRecord) -> Efficiency:
    case, pruning, repeats, profile = record.case, record.pruning, record.repeats, record.profile
    return Efficiency(
        model=case.model,
        method=case.method,
        divisor=case.divisor,
        layers=pruning.pruned_layers,
        level=case.asked or case.percent,
        width=pruning.width,
        expansion_ratio=pruning.expansion_ratio,
        limit=record.done_key.limit,
        workload=case.subject,
        weights=record.weights,
        device=record.environment.processor,
        energy_per_token_j=profile.energy_per_token_j.mean,
        gpu_energy_per_token_j=_part_per_token_j(repeats, "gpu"),
        cpu_energy_per_token_j=_part_per_token_j(repeats, "cpu"),
        ram_energy_per_token_j=_part_per_token_j(repeats, "ram"),
        net_energy_per_token_j=profile.net_energy_per_token_j.mean,
        energy_per_response_j=profile.energy_per_response_j.mean,
        tokens_per_s=profile.tokens_per_s.mean,
        time_to_first_token_ms=profile.time_to_first_token_ms.mean,
        time_per_output_token_ms=profile.time_per_output_token_ms.mean,
        energy_quality=energy_quality(repeats),
        gpu_quality=_part_quality(repeats, "gpu"),
        cpu_quality=_part_quality(repeats, "cpu"),
        ram_quality=_part_quality(repeats, "ram"),
    )


def energy_quality(repeats: Sequence[AnyRepeat]) -> str | None:
    """Quality of a workload's total energy: the worst over all repeats; None if a repeat has no total."""
    return worst_quality([repeat.energy.quality for repeat in repeats])


def energy_sources(repeats: Sequence[AnyRepeat]) -> str:
    """Energy sources of a workload, part by part, over all repeats; joules compare only if these texts are equal."""
    found = {part: {str(repeat.energy.parts[part].source) for repeat in repeats} for part in PARTS}
    return ", ".join(f"{part} {'/'.join(sorted(names))}" for part, names in found.items())


def _part_quality(repeats: Sequence[Repeat], part: str) -> str | None:
    return worst_quality([repeat.energy.parts[part].quality for repeat in repeats])


def _part_per_token_j(repeats: Sequence[Repeat], part: str) -> float | None:
    values = [(repeat.energy.parts_j[part], repeat.new_tokens) for repeat in repeats]
    mean: float | None = summarize([None if joules is None else joules / tokens for joules, tokens in values])["mean"]
    return mean

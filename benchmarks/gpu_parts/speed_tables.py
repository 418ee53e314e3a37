"""The page's tables of speeds: rates, both scorers, decoding, equality, the kill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from glu_lib.measure.scoring.made_up_requests import Shape
from gpu_parts.markup import Cell, Share, difference, gibibytes, heading, milliseconds, number, paragraph, table
from gpu_parts.plan import Part, Unit
from gpu_parts.records import Records


def rates(records: Records) -> str:
    """The machine's own rates."""
    found = records.measured(Unit(Part.RATES))
    rows: list[list[Cell]] = []
    if found:
        rows += [
            [f"matrix products, {dtype}", number(_scaled(rate["flop_per_s"], 1e-12)), "TFLOP/s"]
            for dtype, rate in found["matmul"].items()
        ]
        rows += [["copying, bytes read and written", number(found["copy_bytes_per_s"] / 1e9), "GB/s"]]
        rows += [["starting a kernel", number(found["launch_s"] * 1e6), "µs"]]
    return heading("The machine's own rates") + table(("rate", "fastest of five rounds", "unit"), rows)


def scorers(records: Records, units: Sequence[Unit]) -> str:
    """Log-likelihoods of both scorers."""
    head = (
        *(
            "model",
            "shape",
            "requests",
            "least tokens",
            "ours, s",
            "ours, first round, s",
            "HFLM, s",
            "times faster",
            "ours, tokens/s",
        ),
        *("ours, share of the product rate", "HFLM, share", "GiB, ours / HFLM", "batch, ours / HFLM"),
        "largest relative difference",
    )
    return (
        heading("Log-likelihoods")
        + table(head, (_scorer_row(unit, found) for unit, found in _measured(records, units, Part.SCORER)), texts=2)
        + paragraph(
            "Both scorers answer the same requests; the fastest of three rounds, tokenization included. Ours keeps "
            "tokens from its first round on, as a sweep does from level to level. Least tokens: each distinct prefix "
            "once. The share is the products of weights that these tokens need, over the time, "
            "over the measured product rate; products of attention are not counted. GiB: peak memory, weights included."
        )
    )


def _scorer_row(unit: Unit, found: dict[str, Any]) -> list[Cell]:
    ours, theirs = found["ours"], found["hflm"]
    return [
        *(unit.model, found["shape"]["name"], found["shape"]["requests"], found["least_tokens"]),
        *(ours["fastest_s"], ours["rounds_s"][0], theirs["fastest_s"], found["times_faster"], ours["tokens_per_s"]),
        *(Share(ours["product_share"]), Share(theirs["product_share"])),
        f"{gibibytes(ours['peak_bytes'])} / {gibibytes(theirs['peak_bytes'])}",
        *(f"{ours['batch_size']} / {theirs['batch_size']}", difference(found["largest_relative_difference"])),
    ]


def decoders(records: Records, units: Sequence[Unit]) -> str:
    """Decoding of both scorers, and of vLLM."""
    head = (
        *("model", "shape", "engine", "rows", "step, ms", "least, ms", "share of the least time", "prompts, s"),
        *("tokens/s", "GiB", "equal texts"),
    )
    measured = dict.fromkeys((unit.model, unit.shape) for unit in units if unit.part in (Part.DECODER, Part.VLLM))
    rows = [row for model, shape in measured for row in _decoder_rows(records, model, shape)]
    return (
        heading("Decoding")
        + table(head, rows, texts=3)
        + paragraph(
            "A step gives every row one token. Its least time is the longer of the weights' products at the measured "
            "product rate and the bytes of weights and cache at the measured copy rate. Each engine answers the same "
            "prompts with few and with many tokens, three rounds, the fastest of each; the difference is that of the "
            "steps. Equal texts: of ours and HFLM's; in 16 bits rounding decides between nearly equal tokens of a "
            "random model, so float32 below is the test."
        )
    )


def _decoder_rows(records: Records, model: str | None, shape: Shape | None) -> Iterator[list[Cell]]:
    assert shape is not None
    found = records.measured(Unit(Part.DECODER, model, shape))
    begin: list[Cell] = [model, shape.name]
    if found:
        equal = f"{found['equal_texts']} of {found['texts']}"
        yield [*begin, "ours", *_step_cells(found, found["ours"]), equal]
        yield [*begin, "HFLM", *_step_cells(found, found["hflm"]), equal]
    theirs = records.measured(Unit(Part.VLLM, model, shape))
    if theirs and theirs["installed"] is None:
        yield [*begin, "vLLM: not installed", *[None] * 8]
    elif theirs:
        yield [*begin, f"vLLM {theirs['installed']}", *_step_cells(theirs, theirs["vllm"]), None]


def _step_cells(found: dict[str, Any], figures: dict[str, Any]) -> list[Cell]:
    return [
        *(found["shape"]["rows"], milliseconds(figures["step_s"]), milliseconds(figures["floor_s"])),
        *(Share(figures["floor_share"]), figures["prompts_s"], figures["tokens_per_s"]),
        gibibytes(figures.get("peak_bytes")),
    ]


def equality(records: Records, units: Sequence[Unit]) -> str:
    """Whether both scorers say the same in float32."""
    rows: list[list[Cell]] = []
    verdicts = []
    for unit, found in _measured(records, units, Part.EQUAL):
        verdicts.append(f"{unit.model}: {'equal' if found['is_equal'] else 'NOT equal'}")
        for name, shape in found["shapes"].items():
            apart = shape["largest_relative_difference"]
            equal = None if shape["equal"] is None else f"{shape['equal']} of {shape['requests']}"
            rows.append([unit.model, name, "text" if apart is None else difference(apart), equal])
    head = ("model", "shape", "largest relative difference", "equal texts or greedy flags")
    text = f"{'; '.join(verdicts)}. " if verdicts else ""
    text += "Equal: differences below 1e-4, all texts and greedy flags the same."
    return heading("The same values, float32") + table(head, rows, texts=2) + paragraph(text)


def kills(records: Records, units: Sequence[Unit]) -> str:
    """Kill -9 in the middle of MMLU-shaped work."""
    rows = (_kill_row(unit, found) for unit, found in _measured(records, units, Part.KILL))
    head = (
        *(
            "model",
            "requests",
            "undisturbed, s",
            "killed after, s",
            "answers kept",
            "resumed, s",
            "computed twice, tokens",
        ),
        *("computed twice", "equal scores"),
    )
    return (
        heading("kill -9 in the middle of MMLU-shaped work")
        + table(head, rows)
        + paragraph("Computed twice: tokens of the killed and the resumed process beyond those of the undisturbed one.")
    )


def _kill_row(unit: Unit, found: dict[str, Any]) -> list[Cell]:
    return [
        *(unit.model, found["requests"], found["whole_s"], found["killed_after_s"], found["kept_answers"]),
        *(found["resumed_s"], found["repeated_tokens"], f"{100 * found['repeated_share']:.1f} %"),
        f"{found['equal_scores']} of {found['requests']}",
    ]


def _measured(records: Records, units: Sequence[Unit], part: Part) -> Iterator[tuple[Unit, dict[str, Any]]]:
    for unit in units:
        if unit.part is part and (found := records.measured(unit)):
            yield unit, found


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor

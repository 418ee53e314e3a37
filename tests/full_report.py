"""A full report: the embedded model's records, published scores as if they were own ones, an invented GPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from committed import concluded

from glu_lib.analysis.claims import group_curves, trade_offs
from glu_lib.analysis.conclusions import main_families
from glu_lib.analysis.correlations import correlations
from glu_lib.analysis.efficiency import Efficiency
from glu_lib.analysis.published.comparison import beside, published_rows
from glu_lib.analysis.trends import level_trends
from glu_lib.report import ReportData
from glu_lib.report import report_data as report_data_of
from glu_lib.study import STUDY

NANO = Path(__file__).resolve().parents[1] / "results/measured/nano"
HOSTILE = "</script><script>window.hacked=true</script><img src=x onerror=window.hacked=true>"

COLLAPSED = {"value": None, "is_collapsed": True, "log_value": 300.0, "delta": None, "relative_delta": None}


def own_llamas() -> list[dict[str, Any]]:
    """Tidy rows of llama1b and llama3b: the published ones, a little beside, as if scored on 1,000 items.

    At its narrowest level llama3b has collapsed on WikiText.
    """
    rows = [row for row in published_rows() if row["model"] in ("llama1b", "llama3b") and row["is_headline"]]
    return [
        row
        | {"value": row["value"] * (1 + ((place * 7) % 11 - 5) / 200), "stderr": 0.015, "n": 1000}
        | {"is_blind": row["chance"] is not None and row["value"] < row["chance"] + 0.02}
        | (COLLAPSED if (row["model"], row["subject"], row["percent"]) == ("llama3b", "wikitext", 60) else {})
        for place, row in enumerate(rows)
    ]


def efficiencies() -> list[Efficiency]:
    """An invented GPU: prefill gains by narrower widths, decoding hardly does; rounded widths help prefill."""
    found = []
    for divisor in (None, 128):
        for percent, width in zip(range(0, 70, 10), (8192, 7373, 6554, 5735, 4916, 4096, 3277), strict=True):
            if divisor and not percent:
                continue
            width = width // 128 * 128 if divisor else width
            slow = 1.25 if width % 8 else 1.0
            for workload, first in (
                ("hellaswag_latency_b1", 20),
                ("mmlu_latency_b1", 60),
                ("ifeval_latency_b1", 18),
                ("hellaswag_throughput_b8", 80),
                ("mmlu_throughput_b8", 300),
                ("ifeval_throughput_b8", 70),
            ):
                batch = 8 if workload.endswith("b8") else 1
                joules = (0.35 + 0.3 * width / 8192) / batch**0.8
                found.append(
                    Efficiency(
                        model="llama1b",
                        method="PPM" if percent else None,
                        divisor=divisor,
                        layers=None,
                        level=percent,
                        width=width,
                        expansion_ratio=width / 2048,
                        limit=None,
                        workload=workload,
                        weights="real",
                        device="NVIDIA Test GPU",
                        energy_per_token_j=joules * 1.6,
                        gpu_energy_per_token_j=joules,
                        cpu_energy_per_token_j=joules * 0.4,
                        ram_energy_per_token_j=joules * 0.2,
                        net_energy_per_token_j=joules,
                        energy_per_response_j=joules * 50,
                        tokens_per_s=55 * batch**0.9 * (8192 / width) ** 0.1,
                        time_to_first_token_ms=first * (0.4 + 0.6 * width / 8192) * slow,
                        time_per_output_token_ms=18 * (0.9 + 0.1 * width / 8192),
                        energy_quality="estimated",
                        gpu_quality="measured",
                        cpu_quality="estimated",
                        ram_quality="estimated",
                    )
                )
    return found


def full_report() -> ReportData:
    """Everything a report can show."""
    found = concluded("nano")
    llamas = own_llamas()
    families = main_families(llamas)
    trends = level_trends(llamas)
    with_llamas = dataclasses.replace(
        found,
        rows=(*found.rows, *llamas),
        trends=(*found.trends, *trends),
        curves=(
            *found.curves,
            *(
                curve
                for family, mine in families.items()
                for curve in group_curves(mine, [trend for trend in trends if trend.model == family.model])
            ),
        ),
        correlations=(*found.correlations, *(pair for mine in families.values() for pair in correlations(mine))),
        trade_offs=(
            *found.trade_offs,
            *(
                dataclasses.replace(level, energy_per_token_j=0.2 + level.parameters / 4e9)
                for mine in families.values()
                for level in trade_offs(mine)
            ),
        ),
        beside=tuple(beside(llamas)),
        efficiencies=tuple(efficiencies()),
        problems=(f"results/{HOSTILE}.json: not a readable record", "another record: torn"),
    )
    data = report_data_of(with_llamas, STUDY)
    return dataclasses.replace(data, missing={"llama1b": ["llama1b-p60-gsm8k"], HOSTILE: [f"{HOSTILE}-p0-facts"]})

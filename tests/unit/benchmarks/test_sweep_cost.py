import json
from pathlib import Path

from sweep_cost import ITEMS, MEASURED, UTILIZATION, hours_table, storage_table

PAGE = (Path(__file__).resolve().parents[3] / "docs/guides/scale.md").read_text(encoding="utf-8")


def test_the_tables_of_the_page_are_computed():
    shown = PAGE.split("<!-- sweep cost: from benchmarks/sweep_cost.py -->\n")[1].split("<!-- end of sweep cost -->")[0]
    assert shown.strip().splitlines() == [*hours_table(1000, 7, 30), "", *storage_table(1000, 7, 30)]


def test_hours_are_operations_over_the_assumed_rate():
    counted = json.loads((MEASURED / "scoring/tokens.json").read_text())["tasks"]
    tokens = sum(found["planned"] for found in counted if found["task"] != "leaderboard_musr")
    tokens += 756 / 30 * next(found["planned"] for found in counted if found["task"] == "leaderboard_musr")
    one_pass_s = tokens * 2 * 0.97e9 / (312e12 * UTILIZATION)
    shown = hours_table(100, 10, 9)[2].split(" | ")[-1]
    assert float(shown.removesuffix(" h |").replace(",", "")) == float(f"{1000 * (one_pass_s + 20) / 3600:.2g}")


def test_the_items_are_those_of_the_counted_requests():
    requests = {
        found["task"]: found["requests"]
        for found in json.loads((MEASURED / "scoring/tokens.json").read_text())["tasks"]
    }
    assert requests.keys() == ITEMS.keys()
    options = {"lambada_openai": 1, "boolq": 2, "piqa": 2, "winogrande": 2, "hellaswag": 4, "mmlu": 4}
    assert {task: requests[task] / count for task, count in options.items()} == {task: ITEMS[task] for task in options}


def test_storage_grows_with_each_factor():
    one, two = storage_table(1000, 7, 30), storage_table(2000, 7, 30)
    assert one[2] == "| records | 1.8 GB |"
    assert two[2] == "| records | 3.5 GB |"

"""Time to turn ten thousand records into tables; the records are copies of real ones under other models and tasks."""

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from glu_lib.results.record import sealed

pytestmark = pytest.mark.speed

RECORDS = 10_000
_NANO = Path(__file__).resolve().parents[1] / "results/measured/nano/individual_files/nano"
_LEVELS = (0, 10, 20, 30, 40, 50, 60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with ten thousand records."""
    return write_records(tmp_path_factory.mktemp("many"), RECORDS)


def write_records(root: Path, count: int) -> Path:
    """Write records without samples, with seven levels, thirty tasks, and as many models as needed; returns `root`."""
    templates = {percent: (_NANO / f"p{percent}/nano-p{percent}-facts.json").read_text() for percent in _LEVELS}
    for number in range(count):
        place, percent = divmod(number, len(_LEVELS))[0], _LEVELS[number % len(_LEVELS)]
        model, task = f"model{place // 30}", f"task{place % 30}"
        record = json.loads(templates[percent])
        record["case"] |= {"id": f"{model}-p{percent}-{task}", "model": model, "subject": task}
        record["done_key"] |= {"model": model, "task": task}
        path = root / "individual_files" / model / f"p{percent}" / f"{record['case']['id']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sealed(record)))
    return root


def test_consolidation(benchmark: BenchmarkFixture, folder: Path) -> None:
    """Read the records to tidy rows, and write the tables."""
    from glu_lib.analysis import consolidate, write_tables  # not above: collecting does not wait for it

    def run() -> tuple[dict[str, Any], ...]:
        rows = consolidate(folder).rows
        write_tables(folder, rows)
        return rows

    assert len(benchmark.pedantic(run, rounds=3)) == RECORDS


def test_conclusions(benchmark: BenchmarkFixture, folder: Path) -> None:
    """Read the records and compute trends and claims; without samples there are no significance tests."""
    from glu_lib.analysis import conclude

    assert len(benchmark.pedantic(lambda: conclude(folder), rounds=3).rows) == RECORDS

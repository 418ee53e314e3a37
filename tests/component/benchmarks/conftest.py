"""A bench on the processor with tiny models."""

import pytest
from gpu_parts.bench import Bench
from gpu_parts.plan import Part, Unit
from gpu_parts.records import Records
from gpu_parts.setup import parser, setup_of

RATES = {
    "matmul": {dtype: {"flop_per_s": 1e11} for dtype in ("float32", "bfloat16")},
    "copy_bytes_per_s": 1e10,
}


@pytest.fixture
def bench(tmp_path):
    """In float32, with rates that are made up."""
    arguments = ["--tiny", "--device", "cpu", "--output", str(tmp_path / "out")]
    setup = setup_of(parser(None).parse_args(arguments))
    Records(setup.output).done(Unit(Part.RATES), {}, 1.0, RATES)
    return Bench(setup, {"cpu": "here"})

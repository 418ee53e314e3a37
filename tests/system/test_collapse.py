"""A level whose perplexity collapses, through the whole suite: recorded once, shown, never an error again."""

import json
import shutil
import sys

import pytest
from safetensors.torch import load_file, save_file

from glu_lib.nano import MODEL_DIR

# Factors of the last norm: logits grow by them, and the perplexity of what p40 gets wrong by their exponentials.
FACTORS = {"h87": 420.0, "h400": 1926.0, "hinf": 6e36}
QUICK = ("--limit", "20", "--threads", "1", "-k", "h87 or h400 or hinf")
COMMANDS = """
import sys
from glu_lib.frontends.cli.entry import main

sys.exit(max(main([command, "results"]) for command in ("table", "consolidate", "report", "compare")))
"""


@pytest.fixture
def study(suite):
    lines = []
    for key, factor in FACTORS.items():
        folder = suite.path / key
        shutil.copytree(MODEL_DIR, folder)
        tensors = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
        tensors["model.norm.weight"] *= factor
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        lines += [f'[models.{key}]\nsource = "{folder}"\nkind = "base"\nlevels = [0, 40]\nsuites = ["own"]']
    path = suite.path / "study.toml"
    path.write_text("\n".join([*lines, '[suites]\nown = ["facts", "narrative"]\n']))
    return f"--study={path}"


def test_a_collapsed_level_is_recorded_once_and_shown(suite, study):
    first = suite.runpytest_subprocess(study, *QUICK)
    first.assert_outcomes(passed=18)
    first.stdout.fnmatch_lines_random(
        [
            "*h87-p40-narrative *word_perplexity > 1e60 (collapsed)*",
            "*h400-p40-narrative *word_perplexity > 1e60 (collapsed)*",
            "*hinf-p40-narrative *word_perplexity ∞ (collapsed)*",
            "collapsed: above 1e60, or infinite (∞); worse than every finite score",
            "1 change was not tested (*-narrative): p0 itself has collapsed, so nothing can be compared with it",
        ]
    )
    found = {}
    for path in suite.path.glob("results/individual_files/*/*/*.json"):
        record = json.loads(path.read_text())
        if record["kind"] == "accuracy":
            found[record["case"]["id"]] = record["score"]["headline"]
    logs = {case: score["log_value"] for case, score in found.items() if score["is_collapsed"]}
    assert logs == {
        "h87-p40-narrative": pytest.approx(87 * 2.3026, rel=0.01),
        "h400-p40-narrative": pytest.approx(400 * 2.3026, rel=0.01),
        "hinf-p0-narrative": pytest.approx(3.7e35, rel=0.01),
        "hinf-p40-narrative": None,
    }
    assert all(found[f"{key}-p40-facts"]["value"] == 0.85 for key in FACTORS)
    written = [path.read_text() for path in suite.path.glob("results/lm_eval/**/*.json*")]
    assert len(written) == 24
    assert not any("Infinity" in text for text in written)

    second = suite.runpytest_subprocess(study, *QUICK)
    second.assert_outcomes(skipped=18)
    # In a process of its own: pytester takes back what was imported within a test, which NumPy does not bear.
    shown = suite.run(sys.executable, "-c", COMMANDS)
    assert shown.ret == 0
    assert shown.outlines.count("| p40 | 2.4x | 0.850 (−15 %) | > 1e60 (collapsed*°) |") == 2
    assert "| p0 | 4.0x | 1.000 | > 1e60 (collapsed°) |" in shown.outlines
    assert "| p40 | 2.4x | 0.850 (−15 %) | ∞ (collapsed°) |" in shown.outlines

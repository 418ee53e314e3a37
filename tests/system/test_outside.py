"""Settings from outside, of libraries: no figure follows them, no run ends by them, the header names them."""

import json


def test_settings_of_codecarbon_are_ignored_and_named(suite, monkeypatch, all_items):
    (suite.path / ".codecarbon.config").write_text(
        "[codecarbon]\npue = 2\nforce_cpu_power = 500\nforce_ram_power = 500\noutput_dir = /nonexistent\n"
    )
    monkeypatch.setenv("CODECARBON_TRACKING_MODE", "process")
    done = suite.runpytest_subprocess("-k", "nano and p0 and facts", "--limit", "4", "--threads", "1", "--allow-shared")
    done.assert_outcomes(passed=1, deselected=all_items - 1)
    done.stdout.fnmatch_lines(
        [
            "ignored CodeCarbon settings (the suite uses its own): *.codecarbon.config (pue, "
            "force_cpu_power, force_ram_power, output_dir), CODECARBON_TRACKING_MODE"
        ]
    )
    (path,) = (suite.path / "results").glob("individual_files/*/*/*.json")
    energy = json.loads(path.read_text())["energy"]
    # CodeCarbon's model gives no memory more than 200 W; told from outside it would be 1000.
    assert 0 < energy["ram"]["energy_j"] / energy["window_s"] < 200


def test_a_variable_that_changes_the_arithmetic_ends_the_run_with_one_line(suite, monkeypatch):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    done = suite.runpytest_subprocess("-k", "nano and p0 and facts", "--limit", "4")
    assert done.ret == 4
    done.stderr.fnmatch_lines(
        ["ERROR: NVIDIA_TF32_OVERRIDE=1 changes the arithmetic of every score and time; unset it*"]
    )

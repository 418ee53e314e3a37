from glu_lib.analysis.comparison import Beside
from glu_lib.analysis.restated import energy_restated
from glu_lib.cli import main
from glu_lib.report import compare


def test_a_score_stands_beside_the_published_one():
    pair = Beside("llama1b", 40, 2.4, "boolq", "acc", 0.61, 0.62, -0.01, 0.012, True, "a note")
    assert compare.score_cells([pair]) == [
        ("llama1b", "p40", "2.4x", "boolq", "acc", "0.61", "0.62", "−0.01", "yes", "a note")
    ]


def test_published_energies_are_means_over_seeds_with_their_defects_by_number():
    rows = [row for row in energy_restated("energy_1b") if (row.percent, row.workload) == (0, "hellaswag_latency_b1")]
    (cells,) = compare.energy_cells(rows)
    gpu = sum(row.gpu_energy_per_token_j for row in rows) / 3
    assert cells[:3] == ("llama1b", "p0", "hellaswag_latency_b1")
    assert cells[6] == f"{gpu:.3g}"
    assert cells[7] == "1 3 4"
    assert compare.defect_lines()[0].startswith("1: printed as kWh, but kg CO2e")


def test_the_command_says_what_is_compared_with_what(tmp_path, capsys):
    assert main(["compare", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "no score has a published counterpart; the study published llama1b, llama3b, instruct1b, PPM" in out
    assert "hellaswag_throughput_b8" in out  # whole words, however narrow the terminal
    assert "5: tokens count padding behind the end of the text" in out

from glu_lib.frontends.pytest_plugin.cluster import energy_refusal
from glu_lib.study import STUDY
from glu_lib.study.cases import CaseKind, build_cases

CASES = build_cases(STUDY)
WORDS = ["--cluster=auto", "-m", "carbon", "--cluster-cpus", "2", "-k", "nano and p40", "--cluster", "h:1"]


def test_energy_workloads_are_refused_with_the_command_that_measures_them():
    energy = [case for case in CASES if case.kind is CaseKind.ENERGY][:2]
    assert energy_refusal(CASES[:3] + energy, WORDS) == (
        f"--cluster: 2 energy workloads (as {energy[0].id}) cannot be measured while other workers share the machines; "
        "on the machine whose energy you want: pytest -m carbon -k 'nano and p40'"
    )


def test_growing_batches_are_refused_too():
    serving = next(case for case in CASES if case.kind is CaseKind.SERVING)
    assert f"1 energy workload (as {serving.id}) cannot be measured" in energy_refusal([serving], WORDS)


def test_scores_are_not_refused():
    assert energy_refusal([case for case in CASES if case.kind is CaseKind.ACCURACY], WORDS) is None

"""`--cluster`: refuses what a cluster cannot do, and registers the driver."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

import pytest

from glu_lib.study.case_kinds import ENERGY_KINDS
from glu_lib.study.cases import Case
from glu_lib.wording import counted


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the driver if `--cluster` is given; without it nothing of the cluster is imported."""
    address, cpus = config.getoption("cluster"), config.getoption("cluster_cpus")
    if address is None:
        if cpus is not None:
            raise pytest.UsageError("--cluster-cpus says how many CPUs a worker of a cluster gets; add --cluster=auto")
        return
    for line in _refusals(config):
        raise pytest.UsageError(line)
    if not config.getoption("collectonly"):
        from glu_lib.frontends.pytest_plugin.cluster_driver import ClusterDriver

        config.pluginmanager.register(ClusterDriver(config, address, cpus), "glu-cluster")


def _refusals(config: pytest.Config) -> Iterator[str]:
    """A line for each option that contradicts `--cluster`."""
    if config.getoption("numprocesses", default=None) or config.getoption("dist", default="no") != "no":
        yield "--cluster with -n: the cluster has workers of its own, one per GPU; leave out -n and --dist"
    for option, dest in (("--pdb", "usepdb"), ("--trace", "trace")):
        if config.getoption(dest, default=False):
            yield f"--cluster with {option}: cases run on other machines; leave out {option}, or --cluster"
    if ":" in (device := config.getoption("device") or ""):
        yield f"--cluster with --device {device}: Ray gives each worker a GPU of its own; leave out --device"
    if (cpus := config.getoption("cluster_cpus")) is not None and cpus < 1:
        yield f"--cluster-cpus {cpus}: must be 1 or more; leave it out for a node's CPUs, shared by its GPUs"


def energy_refusal(cases: Iterable[Case], words: Iterable[str]) -> str | None:
    """Why energy workloads are not measured on a cluster, with the command that measures them; None without any.

    Args:
        cases: the selected cases.
        words: of the command line.
    """
    found = [case for case in cases if case.kind in ENERGY_KINDS]
    if not found:
        return None
    command = shlex.join(["pytest", *_without_cluster(words)])
    return (
        f"--cluster: {counted(len(found), 'energy workload')} (as {found[0].id}) cannot be measured while other "
        f"workers share the machines; on the machine whose energy you want: {command}"
    )


def _without_cluster(words: Iterable[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        if word in ("--cluster", "--cluster-cpus"):
            next(rest, None)
        elif not word.startswith(("--cluster=", "--cluster-cpus=")):
            yield word

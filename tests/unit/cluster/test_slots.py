import pytest

from glu_lib.cluster.slots import slots_of
from glu_lib.errors import ClusterError


def node(name, *, is_alive=True, **resources):
    resources = {
        key.replace("accelerator_type_", "accelerator_type:"): float(value) for key, value in resources.items()
    }
    return {"NodeID": name * 8, "NodeManagerHostname": name, "Alive": is_alive, "Resources": resources}


def test_each_gpu_is_a_place_with_its_share_of_the_cpus_and_nodes_take_turns():
    nodes = [
        node("head", CPU=0),
        node("a", CPU=16, GPU=2, accelerator_type_H100=1),
        node("b", CPU=4, GPU=1, accelerator_type_T4=1),
        node("lost", is_alive=False, CPU=64, GPU=8),
        node("cpus", CPU=64),
    ]
    found = slots_of(nodes, None)
    assert [(slot.node, slot.cpus, slot.gpus, slot.kind, slot.beside) for slot in found] == [
        ("a (aaaaaaaa)", 8, 1, "H100", 2),
        ("b (bbbbbbbb)", 4, 1, "T4", 1),
        ("a (aaaaaaaa)", 8, 1, "H100", 2),
    ]


def test_without_gpus_a_node_is_a_place_or_as_many_as_fit():
    nodes = [node("a", CPU=5), node("b", CPU=1), node("c", CPU=0)]
    assert [(slot.node[0], slot.cpus) for slot in slots_of(nodes, None)] == [("a", 5), ("b", 1)]
    assert [(slot.node[0], slot.cpus, slot.beside) for slot in slots_of(nodes, None, 2)] == [("a", 2, 2), ("a", 2, 2)]
    assert not any(slot.gpus for slot in slots_of([node("a", CPU=8, GPU=4)], "cpu"))


@pytest.mark.parametrize(
    ("nodes", "device", "cpus", "line"),
    [
        ([], None, None, "--cluster: no node has a CPU for a worker; `ray status` shows them"),
        ([node("a", CPU=0)], None, None, "--cluster: no node has a CPU for a worker; `ray status` shows them"),
        (
            [node("a", CPU=2)],
            None,
            4,
            "--cluster: no node has 4 CPUs for a worker (--cluster-cpus); `ray status` shows them",
        ),
        (
            [node("a", CPU=2, GPU=1)],
            None,
            4,
            "--cluster: no node has a GPU and 4 CPUs for a worker (--cluster-cpus); `ray status` shows them",
        ),
        (
            [node("a", CPU=2)],
            "cuda",
            None,
            "--device cuda: no node of the cluster has a GPU; choose --device cpu, or leave it out",
        ),
    ],
)
def test_a_cluster_without_a_place_is_refused(nodes, device, cpus, line):
    with pytest.raises(ClusterError) as raised:
        slots_of(nodes, device, cpus)
    assert str(raised.value) == line

import pytest

from glu_lib.frontends.pytest_plugin.workers import refuse_workers


@pytest.mark.parametrize(
    ("workers", "dist", "device", "gpus", "line"),
    [
        (2, "loadgroup", "cpu", 0, ""),
        (1, "load", "cpu", 0, ""),
        (2, "loadgroup", "cuda", 2, ""),
        (8, "loadgroup", "cpu", 2, ""),
        (2, "load", "cpu", 0, "-n 2 --dist load: each level would be loaded by several workers; add --dist loadgroup"),
        (4, "loadgroup", "cuda", 2, "-n 4: 4 workers would have to share 2 GPUs; use -n 2"),
        (4, "loadgroup", "cuda", 1, "-n 4: 4 workers would have to share 1 GPU; leave out -n"),
        (
            2,
            "loadgroup",
            "cuda:1",
            2,
            "--device cuda:1 with -n 2: each worker gets its own GPU; leave out --device and choose GPUs with "
            "CUDA_VISIBLE_DEVICES, or leave out -n",
        ),
    ],
)
def test_workers_that_would_get_in_each_others_way_are_refused_in_one_line(workers, dist, device, gpus, line):
    assert refuse_workers(workers, dist, device, gpus) == line

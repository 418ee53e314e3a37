import sys
from types import SimpleNamespace

import pytest
import torch

from glu_lib.machine.gpus import Gpu, GpuPool, _torch_build_has, driver_index, find_gpu, visible_gpus

T4, L4, A100 = "GPU-aaaa-1", "GPU-aabb-2", "GPU-cccc-3"
MIG = "MIG-5555-6"
NAMES = {T4: "T4", L4: "L4", A100: "A100", MIG: "A100 MIG 1g.10gb"}
CAPABILITIES = {T4: (7, 5), L4: (8, 9), A100: (8, 0)}


class NVMLError(Exception):
    pass


def _by_uuid(uuid):
    if uuid not in NAMES:
        raise NVMLError(uuid)
    return uuid


def _parent(handle):
    if handle != MIG:
        raise NVMLError("not a MIG instance")
    return A100


@pytest.fixture
def driver(monkeypatch):
    """An NVIDIA driver with three GPUs by slot, of which the last is cut into instances; handles are UUIDs."""
    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=lambda index: [T4, L4, A100][index],
        nvmlDeviceGetHandleByUUID=_by_uuid,
        nvmlDeviceGetUUID=lambda handle: handle,
        nvmlDeviceGetName=NAMES.__getitem__,
        nvmlDeviceGetCudaComputeCapability=CAPABILITIES.__getitem__,
        nvmlDeviceGetDeviceHandleFromMigDeviceHandle=_parent,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr("glu_lib.machine.gpus._torch_has_cuda", lambda: True)
    return fake


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [
        (None, (T4, L4, A100)),
        ("", ()),
        ("-1", ()),
        ("2,0", (A100, T4)),
        (" 1 , 2 ", (L4, A100)),
        ("1,7,0", (L4,)),
        ("0,-1,1", (T4,)),
        ("1,1", ()),
        (f"{A100},{T4}", (A100, T4)),
        ("GPU-c,GPU-aab", (A100, L4)),
        ("GPU-a", ()),
        (f"{MIG}", (MIG,)),
        ("NoDevFiles", ()),
    ],
)
def test_visible_gpus_are_those_cuda_would_see(driver, monkeypatch, visible, gpus):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == gpus
    found = find_gpu()
    assert (found.name if found else None) == (NAMES[gpus[0]] if gpus else None)


def test_an_instance_has_its_own_name_and_the_capability_of_its_gpu(driver, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", MIG)
    assert find_gpu() == Gpu("A100 MIG 1g.10gb", (8, 0))


def test_without_a_driver_or_without_cuda_in_torch_there_is_none(driver, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("glu_lib.machine.gpus._torch_has_cuda", lambda: False)
    assert (find_gpu(), visible_gpus()) == (None, ())
    monkeypatch.setattr("glu_lib.machine.gpus._torch_has_cuda", lambda: True)

    def missing():
        raise NVMLError("the library is not there")

    driver.nvmlInit = missing
    assert (find_gpu(), visible_gpus()) == (None, ())


def test_a_gpu_given_back_goes_to_the_worker_that_comes_in_place():
    pool = GpuPool([T4, L4, A100])
    assert [pool.take("gw0"), pool.take("gw1")] == [T4, L4]
    pool.give_back("gw1")
    pool.give_back("gw1")
    assert [pool.take("gw2"), pool.take("gw3"), pool.take("gw4")] == [L4, A100, None]


@pytest.fixture
def rocm(monkeypatch):
    """A ROCm build of torch with one AMD GPU, which torch shows as `cuda`; there is no NVIDIA driver."""
    monkeypatch.setattr("glu_lib.machine.gpus._torch_has_rocm", lambda: True)
    monkeypatch.setattr("glu_lib.machine.gpus._torch_has_cuda", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    properties = SimpleNamespace(name="AMD Instinct MI300X", major=9, minor=4)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _number: properties)
    for name in ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def test_an_amd_gpu_is_the_one_that_torch_shows(rocm, monkeypatch):
    assert find_gpu() == Gpu("AMD Instinct MI300X", (9, 4))
    assert (visible_gpus(), driver_index(1)) == ((), 1)
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "2,3")  # renumbers them, so the driver's number is not known
    assert driver_index(1) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_gpu() is None


@pytest.mark.parametrize(
    ("lines", "builds"),
    [
        ("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None", ["cuda"]),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.4.0'", ["hip"]),
        ("cuda: Optional[str] = None\nhip: Optional[str] = None", []),
    ],
)
def test_the_build_of_torch_is_read_from_its_version_file(monkeypatch, tmp_path, lines, builds):
    (tmp_path / "version.py").write_text(f"__version__ = '2.13.0'\n{lines}\n")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("glu_lib.machine.gpus.importlib.util.find_spec", lambda _name: spec)
    assert [name for name in ("cuda", "hip") if _torch_build_has(name)] == builds

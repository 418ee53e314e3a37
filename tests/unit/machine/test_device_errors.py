import pytest
import torch

from glu_lib.machine.device_errors import describe_lost_device, is_device_lost, is_out_of_memory

HINT = (
    "\nSearch for `cudaErrorAssert' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for "
    "more information.\nCUDA kernel errors might be asynchronously reported at some other API call, so the "
    "stacktrace below might be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
)

OUT_OF_MEMORY = [
    torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 7.83 GiB. GPU 0 has a total capacity of 14.74 GiB of which "
        "2.12 GiB is free."
    ),
    torch.AcceleratorError(f"CUDA error: out of memory{HINT}"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("[enforce fail at alloc_cpu.cpp:115] data. DefaultCPUAllocator: not enough memory: you tried"),
    MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,) and data type float64"),
]

LOST = [
    torch.AcceleratorError(f"CUDA error: device-side assert triggered{HINT}"),
    torch.AcceleratorError(f"CUDA error: an illegal memory access was encountered{HINT}"),
    torch.AcceleratorError(f"CUDA error: an illegal instruction was encountered{HINT}"),
    torch.AcceleratorError(f"CUDA error: misaligned address{HINT}"),
    torch.AcceleratorError(f"CUDA error: unspecified launch failure{HINT}"),
    torch.AcceleratorError(f"CUDA error: the launch timed out and was terminated{HINT}"),
    torch.AcceleratorError(f"CUDA error: uncorrectable ECC error encountered{HINT}"),
    torch.AcceleratorError(f"CUDA error: uncorrectable NVLink error detected during the execution{HINT}"),
    torch.AcceleratorError(f"CUDA error: hardware stack error{HINT}"),
    torch.AcceleratorError(f"CUDA error: invalid program counter{HINT}"),
    torch.AcceleratorError(f"CUDA error: operation not supported on global/shared address space{HINT}"),
    torch.AcceleratorError(f"CUDA error: unknown error{HINT}"),
    torch.AcceleratorError("HIP error: unspecified launch failure"),
    RuntimeError(f"CUDA error: device-side assert triggered{HINT}"),  # torch before 2.8
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx( handle, opa, opb, m, n, k)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasLtMatmul( ltHandle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
]

NEITHER = [
    torch.AcceleratorError(f"CUDA error: invalid configuration argument{HINT}"),
    torch.AcceleratorError(f"CUDA error: no kernel image is available for execution on the device{HINT}"),
    torch.AcceleratorError(f"CUDA error: invalid device ordinal{HINT}"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx( handle, opa, opb, m, n, k)`"),
    RuntimeError("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"),
    RuntimeError("The size of tensor a (4) must match the size of tensor b (5) at non-singleton dimension 1"),
    RuntimeError("unknown error"),
    ValueError("CUDA error: device-side assert triggered"),  # nothing that torch raises
    KeyError("out of memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_out_of_memory_in_its_many_forms(error):
    assert is_out_of_memory(error)
    assert not is_device_lost(error)


@pytest.mark.parametrize("error", LOST, ids=str)
def test_errors_that_only_a_new_process_gets_over(error):
    assert is_device_lost(error)
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("error", NEITHER, ids=str)
def test_errors_that_end_one_case_only(error):
    assert not is_device_lost(error)
    assert not is_out_of_memory(error)


def test_what_fails_on_the_way_out_is_told_by_its_cause():
    error = ValueError("the window was not closed")
    error.__context__ = LOST[0]
    assert is_device_lost(error)
    assert describe_lost_device(error) == (
        "the GPU failed (CUDA error: device-side assert triggered) and this process can no longer use it; finished "
        "cases are kept, run the others in a new process: pytest --lf (in a notebook, restart the kernel and call "
        "again)"
    )


def test_the_line_leaves_arguments_of_calls_out():
    assert "(CUDA error: CUBLAS_STATUS_EXECUTION_FAILED) and" in describe_lost_device(LOST[14])

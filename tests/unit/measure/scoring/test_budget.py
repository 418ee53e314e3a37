import pytest
import torch

from glu_lib.measure.scoring.budget import Budget

FULL = torch.OutOfMemoryError("CUDA out of memory")


def worker(room, done, error=FULL):
    def work(items):
        if sum(items) > room:
            raise error
        done.extend(items)
        return list(items)

    return work


def test_a_batch_that_does_not_fit_is_done_smaller_and_nothing_twice():
    budget, done = Budget(8), []
    found = list(budget.run([1] * 20, lambda _left: budget.sequences, worker(2, done)))
    assert [item for batch in found for item in batch] == done == [1] * 20
    assert budget.sequences == 2


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["cpu", "cublas"],
)
def test_memory_may_run_out_in_other_places_than_the_gpus_allocator(error):
    budget, done = Budget(8), []
    list(budget.run([1] * 20, lambda _left: budget.sequences, worker(2, done, error)))
    assert (len(done), budget.sequences) == (20, 2)


def test_other_errors_are_not_tried_again():
    budget, done = Budget(8), []
    with pytest.raises(RuntimeError, match="shapes"):
        list(budget.run([1] * 20, lambda _left: budget.sequences, worker(2, done, RuntimeError("shapes differ"))))
    assert (done, budget.sequences) == ([], 8)


def test_what_was_done_before_memory_ran_out_is_kept():
    budget, done = Budget(4), []
    found = budget.run([1, 1, 1, 1, 3, 3, 3, 3], lambda _left: budget.sequences, worker(6, done))
    assert next(found) == [1, 1, 1, 1]
    assert [*found] == [[3, 3], [3, 3]]
    assert done == [1, 1, 1, 1, 3, 3, 3, 3]


def test_an_item_is_split_when_it_does_not_fit_alone():
    budget, done = Budget(1), []
    found = budget.run([8], lambda _left: 1, worker(2, done), lambda item: [item // 2] * 2 if item > 1 else [item])
    assert [*found] == [[2]] * 4


def test_what_can_not_be_made_smaller_is_said_with_the_budget_at_its_end():
    budget = Budget(8)
    with pytest.raises(torch.OutOfMemoryError):
        list(budget.run([5], lambda _left: 8, worker(2, [])))
    assert budget.sequences == 1


def test_a_log_likelihood_batch_has_64_tokens_per_sequence():
    assert Budget(32).tokens == 2048


def test_one_piece_of_work_is_tried_once_more():
    budget, calls = Budget(8), []

    def work(failures):
        calls.append(1)
        if len(calls) <= failures:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert (budget.once(lambda: work(1)), budget.sequences, len(calls)) == ("done", 4, 2)
    calls.clear()
    with pytest.raises(torch.OutOfMemoryError):
        budget.once(lambda: work(9))
    assert (budget.sequences, len(calls)) == (1, 2)

from gpu_parts.kill import comparison
from gpu_parts.killed_work import Job, load_job


def test_what_was_computed_twice_is_what_both_processes_did_beyond_one():
    whole = {"scores": [[-1.0, True], [-2.0, False]], "seconds": 8.0, "forwarded": 1000}
    resumed = {"scores": [[-1.0, True], [-2.5, False]], "seconds": 5.0, "forwarded": 650, "kept": 1}
    found = comparison(whole, 450, 3.0, resumed)
    assert (found["repeated_tokens"], found["repeated_share"]) == (100, 0.1)
    assert (found["requests"], found["equal_scores"], found["largest_difference"]) == (2, 1, 0.5)
    assert (found["kept_answers"], found["killed_after_s"]) == (1, 3.0)


def test_a_job_survives_its_file(tmp_path):
    job = Job(str(tmp_path), "killed", "llama1b", documents=3, journal="shared.jsonl")
    assert load_job(job.save()) == job
    assert job.requests == 57 * 3 * 4
    assert job.kept() == 0

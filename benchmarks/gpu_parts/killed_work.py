"""MMLU-shaped log-likelihoods with a journal, as a process of their own that can be killed and started again."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from glu_lib.measure.scoring.made_up_requests import Shape
from glu_lib.results.folder import ResultsFolder
from glu_lib.results.unfinished import Answers
from glu_lib.results.writing import write_atomically
from gpu_parts.bench import Bench
from gpu_parts.plan import MMLU
from gpu_parts.scorers import Who, ask, fitting, make_scorer, requests_of
from gpu_parts.timing import call_seconds

SUBJECTS = 57  # of MMLU, each with five examples of its own


@dataclass(frozen=True, slots=True)
class Job:
    """One process of work: on a model of the study, with so many documents per subject; `journal` is a file name."""

    folder: str
    name: str
    model: str
    documents: int
    journal: str

    @property
    def shape(self) -> Shape:
        """The shape of the requests."""
        return replace(MMLU, families=SUBJECTS, documents=self.documents)

    @property
    def requests(self) -> int:
        """Number of requests."""
        return self.shape.families * self.shape.documents * self.shape.answers

    def path(self, ending: str) -> Path:
        """A file of this process."""
        return Path(self.folder) / f"{self.name}.{ending}"

    def save(self) -> Path:
        """Write the job to its file."""
        write_atomically(self.path("job.json"), json.dumps(asdict(self)).encode())
        return self.path("job.json")

    def answers(self) -> Answers:
        """The journal as it stands now."""
        folder = ResultsFolder(Path(self.folder))
        binding = {"work": "mmlu-shaped", "documents": self.documents, "model": self.model}
        return Answers(folder, Path(self.folder) / self.journal, binding, {"process": str(os.getpid())})

    def kept(self) -> int:
        """Answers in the journal."""
        found = self.answers().resumed()
        return int(found["answers"]) if found else 0

    def forwarded_tokens(self) -> int:
        """Tokens of all forward passes that the process has begun, also if it was killed."""
        return int(np.memmap(self.path("tokens"), dtype=np.int64, mode="r", shape=1)[0])


def load_job(path: Path) -> Job:
    """The job in a file."""
    return Job(**json.loads(path.read_text(encoding="utf-8")))


def run_job(bench: Bench, job: Job) -> None:
    """Score the job's requests, resuming from its journal, and write the result to its file.

    `seconds` includes tokenization, `scoring_s` runs from the first forward pass, `kept` answers were in the journal.
    """
    network = bench.network(job.model)
    requests = requests_of(job.shape, network.words, seed=0)
    # The kernel keeps written pages of a mapped file when a process is killed.
    tokens: Any = np.memmap(job.path("tokens"), dtype=np.int64, mode="w+", shape=1)
    begun_s: list[float] = []  # of the first forward pass; before it, requests are tokenized

    def count(_module: Any, inputs: tuple[Any, ...], _output: Any) -> None:
        begun_s.append(time.perf_counter())
        tokens[0] += inputs[0].numel()

    def work(batch_size: int) -> dict[str, Any]:
        lm = make_scorer(Who.OURS, network, batch_size)
        ask(lm, job.shape, requests[:1])  # warm-up, without a journal
        lm.answers = job.answers()
        kept = job.kept()
        scores: list[Any] = []
        hook = network.model.get_input_embeddings().register_forward_hook(count)
        try:
            seconds = call_seconds(bench.device, lambda: scores.extend(ask(lm, job.shape, requests)))
        finally:
            hook.remove()
        lm.answers.flush()
        scoring_s = time.perf_counter() - begun_s[0] if begun_s else 0.0
        return {"kept": kept, "seconds": seconds, "scoring_s": scoring_s, "scores": scores}

    found = {**fitting(work), "forwarded": int(tokens[0])}
    write_atomically(job.path("result.json"), json.dumps(found, allow_nan=False).encode())

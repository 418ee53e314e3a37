"""The plan: which units a measurement consists of, in their order, and how many seconds each needs at least."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from glu_lib.measure.scoring.made_up_requests import SHAPES, Shape

MODELS = ("llama1b", "llama3b")


class Part(StrEnum):
    """A part of the measurement, in the order in which parts are measured for a model."""

    RATES = "rates"
    SCORER = "scorer"
    DECODER = "decoder"
    EQUAL = "equal"
    KILL = "kill"
    ENERGY = "energy"
    ALIGNMENT = "alignment"
    VLLM = "vllm"

    @property
    def is_pytest(self) -> bool:
        """Whether the part is a run of pytest, which resumes by its own records."""
        return self in (Part.ENERGY, Part.ALIGNMENT)


_OF_NO_MODEL = (Part.RATES,)
_OF_THE_FIRST_MODEL = (Part.KILL,)

# A unit is started only if so many seconds are left, with the start of its process. These are guesses for a GPU, made
# on the safe side; a unit that was stopped in the middle needs more the next time (`Records.needs_s`).
_NEEDS_S = {
    Part.RATES: 60,
    Part.SCORER: 60,
    Part.DECODER: 90,
    Part.EQUAL: 60,
    Part.KILL: 120,
    Part.ENERGY: 150,
    Part.ALIGNMENT: 150,
    Part.VLLM: 180,
}
_TINY_NEEDS_S = 10

# IFEval's prompts are short and share nothing; its answers are long.
IFEVAL = Shape("ifeval", "generate_until", families=1, documents=32, shots=0, context=60, answers=0, length=0)
GSM8K = next(shape for shape in SHAPES if shape.name == "gsm8k_5shot")
SCORED = tuple(shape for shape in SHAPES if shape.method != "generate_until")
GENERATED = (GSM8K, IFEVAL)
MMLU = next(shape for shape in SHAPES if shape.name == "mmlu_5shot")


@dataclass(frozen=True, slots=True)
class Unit:
    """What is measured and recorded at once: a part, on a model, in one shape of requests.

    `model` is a key of the study, None for the rates of the machine; `shape` is None for parts without shapes.
    """

    part: Part
    model: str | None = None
    shape: Shape | None = None

    @property
    def key(self) -> str:
        """The name of the unit's record."""
        shape = self.shape.name if self.shape else None
        return "-".join(filter(None, (self.part, self.model, shape)))

    def needs_s(self, *, is_tiny: bool) -> float:
        """Seconds that must be left before the unit is started."""
        return _TINY_NEEDS_S if is_tiny else _NEEDS_S[self.part]


def units(models: Sequence[str], parts: Sequence[Part]) -> list[Unit]:
    """All units of the chosen models and parts, in order: the machine's rates, then model by model."""
    chosen = [part for part in Part if part in parts]
    found = [Unit(part) for part in chosen if part in _OF_NO_MODEL]
    for number, model in enumerate(models):
        for part in chosen:
            if part in _OF_NO_MODEL or (part in _OF_THE_FIRST_MODEL and number):
                continue
            found += [Unit(part, model, shape) for shape in _shapes(part)]
    return found


def batches(planned: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Units that follow each other and can share a process: of one part and model."""
    batch: list[Unit] = []
    for unit in planned:
        if batch and (batch[-1].part, batch[-1].model) != (unit.part, unit.model):
            yield batch
            batch = []
        batch.append(unit)
    if batch:
        yield batch


def _shapes(part: Part) -> Sequence[Shape | None]:
    if part is Part.SCORER:
        return SCORED
    return GENERATED if part in (Part.DECODER, Part.VLLM) else (None,)

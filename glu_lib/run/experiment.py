"""What the cases of a run share: study, settings, machine, results folder, and the parts that measure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from glu_lib.machine.environment import Environment, detect_environment, set_library_defaults
from glu_lib.measure.energy.window import EnergyMeter, meter_of
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.own_shapes import with_own_shapes
from glu_lib.results.folder import RANDOM_WEIGHTS_FOLDER
from glu_lib.results.store import Store
from glu_lib.run.case_state import CaseStates
from glu_lib.run.device_guard import DeviceGuard
from glu_lib.run.identities import Identities
from glu_lib.run.levels import Levels
from glu_lib.run.loader import Loader
from glu_lib.run.preparing import Preparation
from glu_lib.run.recorder import Recorder
from glu_lib.study import STUDY, Study
from glu_lib.study.settings import Settings, Weights


@dataclass(slots=True)
class Experiment:
    """The parts of one run, made from its settings and study; `Session` drives them.

    Models without a declared shape get that of their own configuration, if it is on this machine: all of them, or those
    named by `own_shapes`.

    Raises:
        SettingsError: if a setting does not fit this machine.
    """

    settings: Settings = field(default_factory=Settings)
    study: Study = STUDY
    own_shapes: Collection[str] | None = None
    environment: Environment = field(init=False)
    store: Store = field(init=False)
    library: TaskLibrary = field(default_factory=TaskLibrary)
    meter: EnergyMeter = field(init=False)
    guard: DeviceGuard = field(default_factory=DeviceGuard)
    identities: Identities = field(init=False)
    states: CaseStates = field(init=False)
    preparation: Preparation = field(init=False)
    levels: Levels = field(init=False)
    recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        set_library_defaults()
        self.study = with_own_shapes(self.study, self.own_shapes)
        settings = self.settings
        self.environment = detect_environment(settings)
        folder = settings.results_dir
        self.store = Store(folder / RANDOM_WEIGHTS_FOLDER if settings.weights is Weights.RANDOM else folder)
        self.meter = meter_of(settings)
        self.identities = Identities(settings.weights)
        self.states = CaseStates(settings, self.environment, self.store, self.library, self.identities)
        loader = Loader(settings, self.environment, self.identities)
        self.preparation = Preparation(loader, self.study, self.store, self.library)
        self.levels = Levels(self.preparation.prepare, self.guard)
        self.recorder = Recorder(settings, self.environment, self.store, self.states)

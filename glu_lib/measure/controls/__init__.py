"""Controls: what a task gives to answers that do not follow the question, by lm-eval's own scoring."""

from glu_lib.measure.controls.controls import Controls, controls

__all__ = ["Controls", "controls"]

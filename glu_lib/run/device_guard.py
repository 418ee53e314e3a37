"""A guard for a GPU that may fail for good: from then on, all work of the process raises the same one-line error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from glu_lib.errors import DeviceError
from glu_lib.machine.device_errors import describe_lost_device, is_device_lost
from glu_lib.machine.memory import release_memory
from glu_lib.measure.prepared import PreparedModel


@dataclass(slots=True)
class DeviceGuard:
    """`failure` says in one line why this process can no longer use its GPU; None while the GPU works."""

    failure: str | None = None

    @contextmanager
    def using(self) -> Iterator[None]:
        """Work on the device; when its GPU fails for good, this work and all that follows get the same one line.

        Raises:
            DeviceError: if the GPU has failed for good, now or before.
        """
        if self.failure:
            raise DeviceError(self.failure)
        try:
            yield
        except Exception as error:
            if not is_device_lost(error):
                raise
            self.failure = describe_lost_device(error)
            raise DeviceError(self.failure) from None

    def free(self, prepared: PreparedModel | None = None) -> None:
        """Release the memory of a model, or without one the memory that a failed attempt left.

        A GPU failure may first show here. It is stored and raised by the next `using`, not here.
        """
        release = prepared.release if prepared else release_memory
        try:
            release()
        except Exception as error:
            if not is_device_lost(error):
                raise
            self.failure = self.failure or describe_lost_device(error)

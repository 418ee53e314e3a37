"""The errors a user can cause or mend; each message is one line: value, rule, remedy."""


class GluError(Exception):
    """Base of every error this library raises on purpose."""


class StudyError(GluError):
    """The study names something that does not exist or does not fit together."""


class SettingsError(GluError):
    """A setting (limit, device, results folder, …) cannot be used."""


class AccessError(GluError):
    """A model cannot be reached or read; the message says what the user has to do."""


class DeviceError(GluError):
    """The GPU failed in a way that only a new process gets over."""


class VerificationError(GluError):
    """What pruning produced is not what was asked, or not what an earlier run produced."""


class MeasurementError(GluError):
    """A measurement is incomplete or impossible; nothing is recorded for it."""


class RecordError(GluError):
    """A record cannot be read or written."""


class ReportError(GluError):
    """A report cannot be built or written."""

"""The errors that a user can cause or fix. Each message is one line: value, rule, remedy."""


class GluError(Exception):
    """Base of every error this library raises on purpose."""


class StudyError(GluError):
    """The study names something that does not exist, or its parts contradict each other."""


class SettingsError(GluError):
    """A setting (limit, device, results folder, …) cannot be used."""


class AccessError(GluError):
    """A model cannot be reached or read; the message says what the user has to do."""


class CalibrationError(AccessError):
    """The calibration text of a pruning method cannot be loaded; other methods still work on the same model."""


class TemplateError(GluError):
    """A task needs a chat template and the tokenizer has none; the model's other tasks can still be scored."""


class DeviceError(GluError):
    """The GPU failed, and only a new process can use it again."""


class VerificationError(GluError):
    """The pruned model differs from the requested one, or from the one that an earlier run pruned."""


class MeasurementError(GluError):
    """A measurement is incomplete or impossible; nothing is recorded for it."""


class NotFiniteError(MeasurementError):
    """A model returned NaN or infinity; the case has no result, and its journal is deleted."""


class ClusterError(GluError):
    """A cluster, or a worker of it, cannot be used."""


class RecordError(GluError):
    """A record cannot be read or written."""


class ReportError(GluError):
    """A report cannot be built or written."""


def one_line(text: str) -> str:
    """Escape line breaks, escape sequences and other invisible characters, so that `text` prints as one line.

    Without this, names and contents of foreign files could move the terminal's cursor, change its colours, or look
    like messages of this program.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)

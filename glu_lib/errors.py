"""The errors a user can cause or mend; each message is one line: value, rule, remedy."""


class GluError(Exception):
    """Base of every error this library raises on purpose."""


class StudyError(GluError):
    """The study names something that does not exist or does not fit together."""


class SettingsError(GluError):
    """A setting (limit, device, results folder, …) cannot be used."""


class AccessError(GluError):
    """A model cannot be reached or read; the message says what the user has to do."""


class CalibrationError(AccessError):
    """The text that a method is calibrated on cannot be had; the model itself, and its other methods, can."""


class TemplateError(GluError):
    """A task needs a chat template and the model's tokenizer has none; its other tasks can be scored."""


class DeviceError(GluError):
    """The GPU failed in a way that only a new process gets over."""


class VerificationError(GluError):
    """What pruning produced is not what was asked, or not what an earlier run produced."""


class MeasurementError(GluError):
    """A measurement is incomplete or impossible; nothing is recorded for it."""


class NotFiniteError(MeasurementError):
    """A model gave no numbers (NaN, infinity): what it was asked has no answer, and nothing of the case is kept."""


class RecordError(GluError):
    """A record cannot be read or written."""


class ReportError(GluError):
    """A report cannot be built or written."""


def one_line(text: str) -> str:
    """`text` as a terminal and a log can take it: line breaks, escape sequences and other invisible signs spelled out.

    What a foreign file is called or holds would otherwise move the cursor, colour what follows, or look like a line of
    ours.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)

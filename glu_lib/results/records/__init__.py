"""The types of records, by kind: fields, units, ranges, and the rules that one record's fields must keep."""

from glu_lib.results.records.accuracy import AccuracyRecord, Headline, Samples, Score, Value
from glu_lib.results.records.architecture import ArchitectureRecord
from glu_lib.results.records.done_key import SCHEMA_VERSION
from glu_lib.results.records.energy import EnergyRecord
from glu_lib.results.records.explained import REMEDY, one_line_of
from glu_lib.results.records.layers import LayersRecord
from glu_lib.results.records.repeat import AnyRepeat, FixedRepeat, Repeat
from glu_lib.results.records.serving import ServingRecord
from glu_lib.results.records.union import AnyRecord, Record, parse_record
from glu_lib.results.records.window import EnergyWindow

__all__ = [
    "REMEDY",
    "SCHEMA_VERSION",
    "AccuracyRecord",
    "AnyRecord",
    "AnyRepeat",
    "ArchitectureRecord",
    "EnergyRecord",
    "EnergyWindow",
    "FixedRepeat",
    "Headline",
    "LayersRecord",
    "Record",
    "Repeat",
    "Samples",
    "Score",
    "ServingRecord",
    "Value",
    "one_line_of",
    "parse_record",
]

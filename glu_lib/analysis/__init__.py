"""Analysis of records: consolidation into tables, changes against the baseline, and conclusions."""

from glu_lib.analysis.alignment import AlignedPair, aligned_pairs
from glu_lib.analysis.columns import COLUMNS
from glu_lib.analysis.conclusions import Conclusions, conclude, conclude_published
from glu_lib.analysis.consolidation import Consolidation, consolidate
from glu_lib.analysis.headline import HeadlineTable, headline_tables, workload_tables
from glu_lib.analysis.table import write_tables

__all__ = [
    "COLUMNS",
    "AlignedPair",
    "Conclusions",
    "Consolidation",
    "HeadlineTable",
    "aligned_pairs",
    "conclude",
    "conclude_published",
    "consolidate",
    "headline_tables",
    "workload_tables",
    "write_tables",
]

"""From records to tables: consolidation and the change against the unpruned baseline."""

from glu_lib.analysis.alignment import AlignedPair, aligned_pairs
from glu_lib.analysis.consolidation import COLUMNS, Consolidation, consolidate, write_tables
from glu_lib.analysis.headline import HeadlineTable, headline_tables, workload_tables

__all__ = [
    "COLUMNS",
    "AlignedPair",
    "Consolidation",
    "HeadlineTable",
    "aligned_pairs",
    "consolidate",
    "headline_tables",
    "workload_tables",
    "write_tables",
]

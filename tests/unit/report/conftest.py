"""One full report, which all tests here read."""

import pytest
from full_report import full_report

from glu_lib.report import ReportData


@pytest.fixture(scope="session")
def report_data() -> ReportData:
    return full_report()

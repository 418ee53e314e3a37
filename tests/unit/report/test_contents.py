"""What a report says of cases that have no record, or only one of a limited run."""

import dataclasses

from committed import concluded
from full_report import own_llamas

from glu_lib.report import ReportData
from glu_lib.report import report_data as report_data_of
from glu_lib.report.contents import missing_cases
from glu_lib.report.page import render_page
from glu_lib.study import STUDY


def test_a_limited_record_is_not_missing_and_not_complete():
    rows = [row for row in own_llamas() if row["model"] == "llama1b" and row["percent"] == 40]
    names = sorted({row["case"] for row in rows})
    some = [row | {"limit": 50} if row["case"] == names[0] else row for row in rows if row["case"] != names[1]]
    missing, limited = missing_cases(STUDY, some)
    assert limited == {"llama1b": [names[0]]}
    assert names[1] in missing["llama1b"]
    assert not {names[0], *names[2:]} & set(missing["llama1b"])


def test_the_page_names_limited_cases_and_models_that_the_study_lacks(report_data):
    data = dataclasses.replace(
        report_data, missing={}, limited={"llama1b": ["llama1b-p0-mmlu", "llama1b-p40-mmlu"]}, undeclared=["mine"]
    )
    page = render_page(data, figures=[])
    assert "llama1b: 2 declared cases have a record of a limited run only" in page
    assert "Not known for mine: not in the study" in page
    assert "No missing case is known" not in page
    assert "No missing case is known." in render_page(ReportData())
    assert "No missing case is known of the models in the study." in render_page(ReportData(undeclared=["mine"]))


def test_models_that_the_study_lacks_are_known():
    found = concluded("smollm2_135m_instruct")
    data = report_data_of(found, STUDY)
    assert (data.undeclared, data.missing, data.limited) == (["smolq4"], {}, {})
    assert report_data_of(concluded("nano"), STUDY).undeclared == []

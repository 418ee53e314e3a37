import os
import socket

from glu_lib.frontends.cli.entry import main
from glu_lib.results.address import RecordId
from glu_lib.results.at_work import at_work
from glu_lib.results.leases import Leases
from glu_lib.results.store import Store
from glu_lib.results.unfinished import Answers
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

CASE = Case(STUDY.models["nano"], Pruning(40), STUDY.tasks["sums"])


def test_a_listing_says_who_works_on_what_since_when_and_where(tmp_path, capsys):
    leases, store = Leases(tmp_path), Store(tmp_path)
    assert list(at_work(tmp_path)) == []
    assert leases.take_level(CASE)
    assert leases.take(CASE)
    (found,) = at_work(tmp_path)  # the case, not its level beside it
    assert (found.case, found.host, found.process) == ("nano-p40-sums", socket.gethostname(), os.getpid())
    assert found.since is None  # no answer is written yet
    assert found.refreshed_s < 60
    for start in ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"):
        (store.root / "individual_files").mkdir(exist_ok=True)
        journal = Answers(store, store.unfinished_path(RecordId(CASE)), binding={}, run={"started_at": start})
        journal.hold("key", 1.0)
        journal.flush()
    assert next(at_work(tmp_path)).since == "2026-01-02T00:00:00+00:00"
    assert main(["list", "--results-dir", str(tmp_path)]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("nano-p40-sums"))
    assert line.split()[:4] == ["nano-p40-sums", socket.gethostname(), str(os.getpid()), "2026-01-02T00:00:00+00:00"]


def test_an_unreadable_lease_is_left_out(tmp_path):
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases/nano-p40-sums.lease").write_text("not a lease")
    assert list(at_work(tmp_path)) == []

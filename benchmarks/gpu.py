"""Measures the suite on a GPU: speeds as shares of the machine's own rates, energy, alignment, a kill -9.

    python benchmarks/gpu.py                # nine minutes; the same command goes on where it stopped
    python benchmarks/gpu.py --tiny         # a trial of this script on tiny shapes, on any machine, in three minutes

Needs no network and no weights: models have the shapes of Llama-3.2-1B and -3B, and random weights. Writes one JSON
file per part, `gpu.json` with all of them, and `gpu.html`, a page, to `--output`. Exits with 0 when nothing is left,
with 3 when the next call has something to do, with 1 when a part failed.
"""

from __future__ import annotations

import sys
import time

from gpu_parts.child import measure_units, work_on_job
from gpu_parts.driver import Driver
from gpu_parts.page import write_page
from gpu_parts.records import Records, Status
from gpu_parts.setup import parser, setup_of

from glu_lib.errors import GluError

LEFT = 3


def main() -> int:
    """Measure what fits into the time of this call, and write the page."""
    start_s = time.monotonic()
    given = parser(__doc__).parse_args()
    try:
        setup = setup_of(given)
        if given.job:
            work_on_job(setup, given.job)
            return 0
        if given.child:
            units = {unit.key: unit for unit in setup.units()}
            return measure_units(setup, [units[key] for key in given.child.split(",")], given.until)
        records = Records(setup.output)
        left = Driver(setup, records, start_s + 60 * setup.minutes).measure()
        page = write_page(setup, records)
    except GluError as error:
        print(error, file=sys.stderr)
        return 2
    planned = setup.units()
    failed = [unit for unit in planned if (found := records.read(unit)) and found["status"] == Status.FAILED]
    print(f"{page}: {len(planned) - len(left)} of {len(planned)} parts; {_what_is_left(len(left), len(failed))}")
    if left:
        return LEFT
    return 1 if failed else 0


def _what_is_left(left: int, failed: int) -> str:
    if left:
        return "the same command measures the rest"
    return f"{failed} of them failed, --again repeats these" if failed else "nothing is left"


if __name__ == "__main__":
    sys.exit(main())

"""Another run with the same cache, while this one is at a case: it has finished FINISHED and begun BEGUN."""

import json
import os
from pathlib import Path


def pytest_runtest_teardown() -> None:
    """Changes the list of what is left, as the other run does."""
    path = Path(".pytest_cache/v/cache/lastfailed")
    noted = json.loads(path.read_text())
    noted.pop(os.environ["FINISHED"], None)
    path.write_text(json.dumps(noted | {os.environ["BEGUN"]: True}))

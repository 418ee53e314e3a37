"""Ray is not installed."""

import sys
from typing import Any, cast

cast(dict[str, Any], sys.modules)["ray"] = None

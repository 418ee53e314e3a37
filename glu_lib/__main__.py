"""`python -m glu_lib`."""

import sys

from glu_lib.cli import main

sys.exit(main())

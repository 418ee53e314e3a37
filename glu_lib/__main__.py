"""`python -m glu_lib`."""

import sys

from glu_lib.frontends.cli import main

sys.exit(main())

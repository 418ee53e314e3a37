"""`python -m glu_lib`."""

import sys

from glu_lib.frontends.cli.entry import main

sys.exit(main())

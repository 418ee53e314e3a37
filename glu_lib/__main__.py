"""`python -m glu_lib`."""

import sys

from glu_lib.frontends.cli.main import main

sys.exit(main())

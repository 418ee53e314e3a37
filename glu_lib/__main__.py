"""`python -m glu_lib`, which is `glu` without an installed script."""

import sys

from glu_lib.frontends.cli.entry import main

sys.exit(main())

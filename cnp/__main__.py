"""`python -m cnp` is `cnp`."""

import sys

from cnp.cli import main

sys.exit(main())

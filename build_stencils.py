"""Builds the stencil libraries: a thin command over cnp.build, the same as `cnp build`."""

import sys

from cnp.build.command import main

if __name__ == "__main__":
    sys.exit(main())

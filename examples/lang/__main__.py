"""`python -m examples.lang [program.jot]`: runs a program, or shows what compiled code gains."""

from .demo import main

raise SystemExit(main())

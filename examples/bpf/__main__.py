"""`python -m examples.bpf [capture] [expression]`: the packet filter demo."""

from .demo import main

raise SystemExit(main())

"""`python -m examples.ebpf [object] [function]`: the eBPF demo."""

from .demo import main

raise SystemExit(main())

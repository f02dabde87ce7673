from cnp.bench.registry import Bench
BENCH = Bench("call", "", lambda r: None)

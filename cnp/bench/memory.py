from cnp.bench.registry import Bench
BENCH = Bench("memory", "", lambda r: None)

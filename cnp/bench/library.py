from cnp.bench.registry import Bench
BENCH = Bench("library", "", lambda r: None)

from cnp.bench.registry import Bench
BENCH = Bench("startup", "", lambda r: None)

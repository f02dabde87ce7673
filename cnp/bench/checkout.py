"""What benches need of the checkout that cnp runs from: its examples, and where made files go."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from cnp.bench.figure import Unavailable

ROOT = Path(__file__).resolve().parent.parent.parent


def example(module: str) -> Any:
    """A module of examples/, `lang.suite` say. Unavailable where this is not a checkout."""
    name = module.partition(".")[0]
    if not (ROOT / "examples" / name).is_dir():
        raise Unavailable(f"examples/{name} is not there: this is not a checkout")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"examples.{module}")

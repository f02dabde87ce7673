"""What the benches of this directory share: they need a stencil library, and pytest-benchmark to time them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnp.errors import CnpError
from cnp.runtime.default import default_library


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    try:
        default_library()
    except CnpError as error:
        for each in items:
            if here in each.path.parents:
                each.add_marker(pytest.mark.skip(reason=str(error)))

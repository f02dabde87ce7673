"""What this run time expects of a library: the hash of the headers that cnp.runtime.layout mirrors."""

from __future__ import annotations

ABI_HASH = 0x85BA4964628857E3
"""cnp.stencil.sources.abi_hash of stencils/. A test says when it has to change, and to what."""

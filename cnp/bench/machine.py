"""Which machine, and which versions of everything: recorded with every result."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

import cnp
from cnp.errors import CnpError
from cnp.runtime.default import default_library


def machine() -> dict[str, str]:
    """The processor, the kernel, and how busy the machine was."""
    return {
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": " ".join(f"{each:.2f}" for each in os.getloadavg()),
    }


def versions() -> dict[str, str]:
    """Of cnp, Python, the library and its compiler, valgrind."""
    found = {"cnp": cnp.__version__, "python": f"{platform.python_implementation()} {platform.python_version()}"}
    try:
        library = default_library()
        found["library"] = library.digest.hex()[:16]
        found["library compiler"] = str(library.meta.get("compiler", library.meta.get("clang", "unknown")))
    except CnpError as error:
        found["library"] = f"none: {error}"
    found["valgrind"] = _first_line("valgrind", "--version")
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith(("model name", "uarch"))]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown"


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0].strip()

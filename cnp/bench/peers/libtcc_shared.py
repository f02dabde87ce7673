"""libtcc.a, all that Debian ships of libtcc, -> a shared object that ctypes can load."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from ctypes.util import find_library
from pathlib import Path

from cnp.bench.figure import Unavailable

PLACE = "CNP_LIBTCC"
"""The environment variable that names a libtcc.so to take before any other."""

# The archive is compiled for executables, which may reach variables of the C library directly. A shared object may not:
# it gets variables of its own by these names.
_VARIABLES = {"stdout": "FILE *", "stderr": "FILE *", "environ": "char **"}
_SHIM = (
    "#include <stdio.h>\n"
    + "".join(
        f'extern {type}__real_{name}; __attribute__((visibility("hidden"))) {type}__wrap_{name};\n'
        for name, type in _VARIABLES.items()
    )
    + "__attribute__((constructor)) static void fill(void) {\n"
    + "".join(f"    __wrap_{name} = __real_{name};\n" for name in _VARIABLES)
    + "}\n"
)


def find_shared_library() -> str:
    """What to load: from the environment, from the system, or made here. Unavailable if there is none of these."""
    return os.environ.get(PLACE) or find_library("tcc") or _made()


@functools.cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cnp-bench-")


@functools.cache
def _made() -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Unavailable("libtcc: there is no libtcc.so, and no cc to make one from libtcc.a")
    asked = subprocess.run([compiler, "-print-file-name=libtcc.a"], capture_output=True, text=True, check=False)
    archive = asked.stdout.strip()
    if not os.path.isabs(archive):
        raise Unavailable("libtcc is not installed: apt-get install libtcc-dev, or its like")
    made = Path(_directory().name) / "libtcc.so"
    command = [
        *(compiler, "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-o", str(made), "-Wl,-Bsymbolic"),
        "-Wl," + ",".join(f"--wrap={name}" for name in _VARIABLES),
        *("-Wl,--whole-archive", archive, "-Wl,--no-whole-archive", "-ldl"),
    ]
    done = subprocess.run(command, input=_SHIM, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"libtcc: {archive} does not make a shared object: {done.stderr.strip()[-300:]}")
    return str(made)

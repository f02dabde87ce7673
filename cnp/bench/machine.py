"""Which machine, and which versions of everything: what a reader needs to judge the figures."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cnp
from cnp.errors import CnpError
from cnp.runtime.default import default_library

MISSING = "missing"
UNKNOWN = "unknown"

_PACKAGES = ("llvmlite", "numba", "wasmtime", "copapy", "cffi", "numpy", "pytest-benchmark")
_TOOLS = {
    "tcc": ("tcc", "-v"),
    "gcc": ("gcc", "--version"),
    "luajit": ("luajit", "-v"),  # a copyright notice follows its version, after a dash
    "valgrind": ("valgrind", "--version"),
}
_SYSTEM = Path("/sys/devices/system/cpu")
_COUNTERS = Path("/sys/bus/event_source/devices")


def machine() -> dict[str, str]:
    """The processor and its memory, and whatever makes its clocks less trustworthy."""
    return {
        "processor": _processor(),
        "cores": _cores(),
        "caches": ", ".join(_caches()) or UNKNOWN,
        "frequency": _frequency(),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / (1 << 30):.1f} GiB",
        "huge pages": _chosen(_read("/sys/kernel/mm/transparent_hugepage/enabled")),
        "virtualised": _virtualised(),
        "perf counters": _perf_counters(),
    }


def load() -> str:
    """The load averages of 1, 5 and 15 minutes: above 0 before a run, something else was running."""
    return " ".join(f"{each:.2f}" for each in os.getloadavg())


def stolen() -> float:
    """Seconds that the hypervisor has given to others while something here could run, on all processors together."""
    fields = _read("/proc/stat").partition("\n")[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK") if len(fields) > 8 else 0.0


def versions() -> dict[str, str]:
    """Of cnp, its library, Python, the kernel, and of each peer that cnp is compared with."""
    found = {
        "cnp": cnp.__version__,
        "library": _library(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "clang": _clang(),
    }
    found |= {name: _package(name) for name in _PACKAGES}
    found |= {"libtcc": _libtcc(), "LLVM of llvmlite": _llvm()}
    return found | {name: _first_line(*command) for name, command in _TOOLS.items()}


def _read(path: Path | str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _chosen(setting: str) -> str:
    """`always [madvise] never` is madvise."""
    return setting.partition("[")[2].partition("]")[0] or setting or UNKNOWN


def _cpuinfo(*names: str) -> str:
    """The first processor's row of one of these names."""
    for line in _read("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""


def _processor() -> str:
    model = _cpuinfo("model name", "uarch") or platform.processor() or UNKNOWN
    numbers = [_cpuinfo(each) for each in ("cpu family", "model", "stepping")]
    return f"{model} (family {numbers[0]}, model {numbers[1]}, stepping {numbers[2]})" if all(numbers) else model


def _cores() -> str:
    threads = {"0": "one thread each", "1": "hyper-threads counted"}.get(_read(_SYSTEM / "smt/active"))
    usable = len(os.sched_getaffinity(0))
    rest = f"{usable} usable" if usable != os.cpu_count() else ""
    return ", ".join(filter(None, [str(os.cpu_count()), rest, threads]))


def _caches() -> Iterator[str]:
    kinds = {"Data": "d", "Instruction": "i", "Unified": ""}
    for each in sorted((_SYSTEM / "cpu0/cache").glob("index*")):
        kind = kinds.get(_read(each / "type"), "")
        yield f"L{_read(each / 'level')}{kind} {_read(each / 'size')}"


def _frequency() -> str:
    now = _cpuinfo("cpu MHz")
    governor = _read(_SYSTEM / "cpu0/cpufreq/scaling_governor") or "not readable"
    return f"{float(now):.0f} MHz, governor {governor}" if now else f"{UNKNOWN}, governor {governor}"


def _virtualised() -> str:
    if "hypervisor" not in _cpuinfo("flags").split():
        return "no sign of it"
    product = _read("/sys/class/dmi/id/product_name") or _read("/sys/hypervisor/type")
    return f"yes, {product}" if product else "yes"


def _perf_counters() -> str:
    devices = [each.name for pattern in ("cpu*", "armv*") for each in _COUNTERS.glob(pattern)]
    if not devices:
        return "none: instructions are counted by valgrind"
    return f"{', '.join(sorted(devices))}, paranoid {_read('/proc/sys/kernel/perf_event_paranoid')}"


def _library() -> str:
    try:
        library = default_library()
    except CnpError:
        return MISSING
    return f"{library.digest.hex()[:16]}, built by {library.meta.get('clang', UNKNOWN)}"


def _clang() -> str:
    from cnp.build.clang import find_clang

    try:
        return find_clang().version
    except CnpError:
        return MISSING


def _package(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return MISSING


def _libtcc() -> str:
    from cnp.bench.peers.libtcc import Libtcc

    try:
        return Libtcc().version
    except (CnpError, OSError):
        return MISSING


def _llvm() -> str:
    """What llvmlite brings along, and numba uses."""
    try:
        from llvmlite import binding
    except (ImportError, OSError):
        return MISSING
    return ".".join(map(str, binding.llvm_version_info))


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return MISSING
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = (done.stdout or done.stderr).partition("\n")[0]
    return line.partition(" -- ")[0].strip() or UNKNOWN

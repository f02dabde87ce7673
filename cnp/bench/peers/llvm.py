"""Peer: llvmlite, LLVM's ORC behind it, without optimisation (as clang -O0) or with that of -O2."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, ClassVar

from cnp.bench.peers.description import Group, describe
from cnp.bench.peers.peer import Functions, Peer, c_function
from cnp.ir.function import Function

_numbers = itertools.count()  # a library's name cannot be used again


class Llvmlite(Peer):
    """IR from llvmlite's builder, linked by one JIT. Code goes when the last function of a group does."""

    level: ClassVar[int]
    packages = ("llvmlite.binding", "llvmlite.ir")

    def __init__(self) -> None:
        super().__init__()
        import llvmlite
        from llvmlite import binding

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        from cnp.bench.peers.llvm_ir import translate

        self._binding, self._translate = binding, translate
        self._package: str = llvmlite.__version__
        # Two: a JIT owns its own.
        self._machine = self._target_machine()
        self._jit = binding.create_lljit_compiler(self._target_machine())

    def _target_machine(self) -> Any:
        binding = self._binding
        cpu, features = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
        return binding.Target.from_default_triple().create_target_machine(cpu, features, opt=self.level)

    @property
    def version(self) -> str:
        return f"{self._package}, LLVM {'.'.join(map(str, self._binding.llvm_version_info))}"

    def build(self, group: Group) -> tuple[Group, str]:
        return group, str(self._translate(group))

    def finish(self, built: tuple[Group, str]) -> Functions:
        group, text = built
        library = self._binding.JITLibraryBuilder().add_ir(self._optimised(text) if self.level else text)
        library.add_current_process()  # for what LLVM calls: roundeven and the like
        for each in group:
            library.export_symbol(each.symbol)
        tracker = library.link(self._jit, f"group {next(_numbers)}")
        return [c_function(each, tracker[each.symbol], (self._jit, tracker)) for each in group]

    def object_file(self, built: tuple[Group, str]) -> bytes:
        """What is linked, as a file."""
        _, text = built
        found: bytes = self._machine.emit_object(
            self._binding.parse_assembly(self._optimised(text) if self.level else text)
        )
        return found

    def _optimised(self, text: str) -> str:
        binding = self._binding
        module = binding.parse_assembly(text)
        options = binding.create_pipeline_tuning_options(speed_level=self.level)
        passes = binding.create_pass_builder(self._machine, options)
        passes.getModulePassManager().run(module, passes)
        return str(module)


class LlvmliteO0(Llvmlite):
    """Every register in memory; LLVM's fast instruction selector."""

    name = "llvmlite_O0"
    level = 0


class LlvmliteO2(Llvmlite):
    """The whole pipeline of -O2, vectors included."""

    name = "llvmlite_O2"
    level = 2


def compile_functions(functions: Iterable[Function], peer: type[Llvmlite] = LlvmliteO0) -> dict[str, Any]:
    """The functions compiled by LLVM, by name: functions of ctypes, where a ptr takes an array or an address.

    What they call is compiled along. A trap ends the process. Unavailable without llvmlite.
    """
    functions = list(functions)
    running = peer()
    compiled = running.finish(running.build(describe(functions)))
    return {function.name: made for function, made in zip(functions, compiled)}


def object_file(functions: Iterable[Function], peer: type[Llvmlite] = LlvmliteO0) -> bytes:
    """The same, not linked."""
    running = peer()
    return running.object_file(running.build(describe(list(functions))))

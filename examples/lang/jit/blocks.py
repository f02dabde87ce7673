"""Finds the blocks of a version: which instructions run for which kinds of operands, from where it starts on.

Kinds are never joined. An instruction that is reached with other kinds is in another block (Chevalier-Boisvert and
Feeley, "Simple and effective type check removal through lazy basic block versioning", 2015): a loop whose variable is
an int in the first round and a float in all others becomes one round and a loop. What would be the fifth block of an
instruction is left to the interpreter."""

from __future__ import annotations

from .. import bytecode as bc
from ..bytecode import Instruction, Prototype
from ..values import Closure
from . import called
from .kinds import Kind, Known, of_constant
from .liveness import joins, live_before, successors
from .results import EXITS, result_of
from .version import Block, Context, Step, Version

PARAMETERS = 7
"""Represented arguments that a compiled function takes, besides the depth."""
_BLOCKS = 4  # of one instruction
_HELD = 20  # values over a call, so that the frames of DEPTH calls fit the stack of compiled code
_STEPS = 4000  # of everything that is compiled together


class TooLarge(Exception):
    """There are more steps than are worth compiling."""


class Flow:
    """What is known of a prototype's code, for all versions of it."""

    def __init__(self, prototype: Prototype) -> None:
        self.live = live_before(prototype)
        self.joins = joins(prototype)


class Explorer:
    """Finds versions and all that they call. `found`: those that there are already, by closure and context."""

    def __init__(self, flows: dict[Prototype, Flow], found: dict[tuple[Closure, Context], Version]) -> None:
        self.flows = flows
        self.found = found
        self.made: list[Version] = []
        self._work: list[tuple[Version, Block]] = []
        self._steps = 0

    def explore(self, closure: Closure, pc: int, context: Context) -> Version:
        """The version that starts there. TooLarge."""
        version = self._version(closure, pc, context)
        if pc == 0:
            self.found[closure, context] = version
        while self._work:
            self._walk(*self._work.pop())
        return version

    def flow(self, prototype: Prototype) -> Flow:
        """Liveness, computed once."""
        if prototype not in self.flows:
            self.flows[prototype] = Flow(prototype)
        return self.flows[prototype]

    def _version(self, closure: Closure, pc: int, context: Context) -> Version:
        version = Version(closure, pc, context)
        self.made.append(version)
        self._block(version, pc, dict(context))
        return version

    def _block(self, version: Version, pc: int, kinds: dict[int, Kind]) -> Block:
        """The block for these kinds, made if there is none."""
        context = tuple([(each, kinds[each]) for each in self.flow(version.prototype).live[pc] if each in kinds])
        block = version.blocks.get((pc, context))
        if pc == version.pc and version.blocks:
            version.loops = True
        if block is None:
            block = version.blocks[pc, context] = Block(pc, context)
            count = version.at[pc] = version.at.get(pc, 0) + 1
            if count > _BLOCKS:
                self._add(block, Step(pc, version.prototype.code[pc][0], (), leaves=True), dict(context))
            else:
                self._work.append((version, block))
        return block

    def _add(self, block: Block, step: Step, kinds: dict[int, Kind]) -> None:
        block.steps.append(step)
        block.kinds.append(dict(kinds))
        self._steps += 1
        if self._steps > _STEPS:
            raise TooLarge

    def _walk(self, version: Version, block: Block) -> None:
        """Follow a block to its end."""
        flow = self.flow(version.prototype)
        code = version.prototype.code
        pc, kinds = block.pc, dict(block.context)
        while True:
            step = self._step(version, pc, code[pc], kinds)
            self._add(block, step, kinds)
            if step.leaves:
                return
            op, a = code[pc][:2]
            if op == bc.RETURN:
                self._returned(version, step.kinds[0])
                return
            if op == bc.CALL and step.callee is not None:
                if step.callee.result is None:
                    step.callee.waiting.append((version, block, kinds))
                else:
                    self._after_call(version, block, kinds, step.callee.result)
                return
            if op in bc.JUMPS:
                block.after = self._jump(version, pc, step, kinds)
                return
            if step.result is not None:
                kinds[a] = step.result
            pc += 1
            if pc in flow.joins:
                block.after = [self._block(version, pc, kinds)]
                return

    def _jump(self, version: Version, pc: int, step: Step, kinds: dict[int, Kind]) -> list[Block]:
        instruction = version.prototype.code[pc]
        targets = successors(pc, instruction)
        if isinstance(step.result, Known):  # which way it goes is known
            targets = [targets[bool(step.result.value)]]
        found = []
        for target in targets:
            before = dict(kinds)
            op, a = instruction[:2]
            if (op == bc.FOR and target != pc + 1) or (op == bc.FOR_PREPARE and target == pc + 1):
                before[a] = before[a + 2] = kinds[a]
            found.append(self._block(version, target, before))
        return found

    # Steps.

    def _step(self, version: Version, pc: int, instruction: Instruction, kinds: dict[int, Kind]) -> Step:
        """What the instruction does with operands of these kinds."""
        op, a, b, c = instruction
        prototype = version.prototype

        def kind(register: int) -> Kind:
            if register >= prototype.registers:
                return of_constant(prototype.constants[register - prototype.registers])
            return kinds[register]

        if op == bc.CALL:
            held = [each for each in self.flow(prototype).live[pc + 1] if each != a and kinds[each].represented]
            if version.pc == 0 and len(held) > _HELD:
                return Step(pc, op, (), leaves=True)
            return self._call(pc, kind(b), tuple([kind(each) for each in range(b + 1, b + 1 + c)]))
        if op in (bc.GET_UP, bc.SET_UP):
            cell = Known(version.closure.cells[b if op == bc.GET_UP else a])
            operands: tuple[Kind, ...] = (cell,) if op == bc.GET_UP else (cell, kind(b))
        else:
            roles = bc.OPERANDS[op]
            operands = tuple([kind(each) for role, each in zip(roles, instruction[1:]) if role == "r"])
            if "f" in roles:
                operands = (kind(a), kind(a + 1))
        result = result_of(op, operands)
        if op == bc.RETURN and result is not EXITS and version.result not in (None, operands[0]):
            result = EXITS  # not what callers have been told
        if result is EXITS:
            return Step(pc, op, operands, leaves=True)
        return Step(pc, op, operands, result)

    def _call(self, pc: int, callee: Kind, arguments: tuple[Kind, ...]) -> Step:
        if isinstance(callee, Known) and isinstance(callee.value, Closure):
            target = callee.value
            if target.prototype.arity == len(arguments):
                live = self.flow(target.prototype).live[0]
                context = tuple([(each, arguments[each]) for each in live])
                if sum(kind.represented for _, kind in context) <= PARAMETERS:
                    return Step(pc, bc.CALL, arguments, callee=self._callee(target, context))
        elif isinstance(callee, Known):
            result = called.result_of(callee.value, arguments)
            if result is not None:
                return Step(pc, bc.CALL, (callee, *arguments), result)
        return Step(pc, bc.CALL, arguments, leaves=True)

    def _callee(self, closure: Closure, context: Context) -> Version:
        version = self.found.get((closure, context))
        if version is None:
            version = self.found[closure, context] = self._version(closure, 0, context)
        return version

    def _after_call(self, version: Version, block: Block, kinds: dict[int, Kind], result: Kind) -> None:
        step = block.steps[-1]
        kinds[version.prototype.code[step.pc][1]] = result
        block.after = [self._block(version, step.pc + 1, kinds)]

    def _returned(self, version: Version, kind: Kind) -> None:
        if version.result is None:
            version.result = kind
            for caller, block, kinds in version.waiting:
                self._after_call(caller, block, kinds, kind)
            version.waiting.clear()

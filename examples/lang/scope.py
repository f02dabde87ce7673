"""Gives every name its variable, and finds which variables are captured by functions and which are assigned again."""

from __future__ import annotations

from collections.abc import Container, Sequence

from . import tree
from .errors import SyntaxFault
from .tree import Function, Node, Variable


def resolve(program: Function, builtins: Container[str]) -> None:
    """Fill in the variables of a tree. SyntaxFault for a name that is not declared, or declared twice in one block.

    Functions that a block declares are known in all of it, and so can call one another."""
    _Resolver(builtins).function(program)


class _Resolver:
    def __init__(self, builtins: Container[str]) -> None:
        self.builtins = builtins
        self.scopes: list[dict[str, Variable]] = []
        self.functions: list[Function] = []

    def function(self, function: Function) -> None:
        self.functions.append(function)
        self.scopes.append({})
        function.parameters = [self.declare(each, function.line) for each in function.parameter_names]
        self.block(function.body)
        self.scopes.pop()
        self.functions.pop()

    def declare(self, name: str, line: int) -> Variable:
        if name in self.scopes[-1]:
            raise SyntaxFault(line, f"{name} is declared already")
        variable = self.scopes[-1][name] = Variable(name, self.functions[-1])
        return variable

    def block(self, body: Sequence[Node]) -> None:
        self.scopes.append({})
        for each in body:
            if isinstance(each, tree.Declare):
                each.variable = self.declare(each.function.name, each.line)
        for each in body:
            self.node(each)
        self.scopes.pop()

    def find(self, name: str, line: int) -> Variable | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return self.captured(scope[name])
        if name in self.builtins:
            return None
        raise SyntaxFault(line, f"{name} is not declared")

    def captured(self, variable: Variable) -> Variable:
        """Notes a use of the variable in the present function, and in all between that and its own."""
        for function in reversed(self.functions):
            if function is variable.owner:
                break
            variable.captured = True
            if variable not in function.captures:
                function.captures.append(variable)
        return variable

    def node(self, node: Node | None) -> None:
        match node:
            case tree.Name():
                node.variable = self.find(node.name, node.line)
            case tree.Unary():
                self.node(node.operand)
            case tree.Binary() | tree.Logical():
                self.node(node.left)
                self.node(node.right)
            case tree.Call():
                self.node(node.callee)
                self.nodes(node.arguments)
            case tree.Index():
                self.node(node.array)
                self.node(node.index)
            case tree.Array():
                self.nodes(node.items)
            case tree.Function():
                self.function(node)
            case tree.Let():
                self.node(node.value)
                node.variable = self.declare(node.name, node.line)
            case tree.Declare():
                self.function(node.function)
            case tree.Assign():
                self.node(node.value)
                self.node(node.target)
                if node.target.variable is None:
                    raise SyntaxFault(node.line, f"{node.target.name} is a built-in function")
                node.target.variable.assigned = True
            case tree.Store():
                self.node(node.target)
                self.node(node.value)
            case tree.Evaluate() | tree.Return():
                self.node(node.value)
            case tree.Block():
                self.block(node.body)
            case tree.If():
                self.node(node.condition)
                self.node(node.then)
                self.node(node.otherwise)
            case tree.While():
                self.node(node.condition)
                self.node(node.body)
            case tree.For():
                self.node(node.first)
                self.node(node.end)
                self.scopes.append({})
                node.variable = self.declare(node.name, node.line)
                self.node(node.body)
                self.scopes.pop()

    def nodes(self, nodes: Sequence[Node]) -> None:
        for each in nodes:
            self.node(each)

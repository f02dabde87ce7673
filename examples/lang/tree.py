"""The syntax tree. Names, declarations and functions get their variables from scope.py."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False)
class Variable:
    """A declared name. `assigned`: somewhere besides its declaration."""

    name: str
    owner: Function
    captured: bool = False
    assigned: bool = False


@dataclass(eq=False)
class Node:
    """Anything that has a line."""

    line: int


# Expressions.


@dataclass(eq=False)
class Literal(Node):
    value: object


@dataclass(eq=False)
class Name(Node):
    """`variable` None: a built-in function."""

    name: str
    variable: Variable | None = None


@dataclass(eq=False)
class Unary(Node):
    operator: str  # - not
    operand: Node


@dataclass(eq=False)
class Binary(Node):
    operator: str
    left: Node
    right: Node


@dataclass(eq=False)
class Logical(Node):
    operator: str  # and, or
    left: Node
    right: Node


@dataclass(eq=False)
class Call(Node):
    callee: Node
    arguments: list[Node]


@dataclass(eq=False)
class Index(Node):
    array: Node
    index: Node


@dataclass(eq=False)
class Array(Node):
    items: list[Node]


@dataclass(eq=False)
class Function(Node):
    """`captures`: the variables of enclosing functions that it, or a function within it, uses."""

    name: str
    parameter_names: list[str]
    body: list[Node]
    parameters: list[Variable] = field(default_factory=list)
    captures: list[Variable] = field(default_factory=list)


# Statements.


@dataclass(eq=False)
class Let(Node):
    name: str
    value: Node
    variable: Variable | None = None


@dataclass(eq=False)
class Declare(Node):
    """`fn name(...) {...}`."""

    function: Function
    variable: Variable | None = None


@dataclass(eq=False)
class Assign(Node):
    target: Name
    value: Node


@dataclass(eq=False)
class Store(Node):
    target: Index
    value: Node


@dataclass(eq=False)
class Evaluate(Node):
    value: Node


@dataclass(eq=False)
class Block(Node):
    body: list[Node]


@dataclass(eq=False)
class If(Node):
    condition: Node
    then: Block
    otherwise: Node | None


@dataclass(eq=False)
class While(Node):
    condition: Node
    body: Block


@dataclass(eq=False)
class For(Node):
    """`for name in first..end`: end is not reached."""

    name: str
    first: Node
    end: Node
    body: Block
    variable: Variable | None = None


@dataclass(eq=False)
class Return(Node):
    value: Node | None


@dataclass(eq=False)
class Leave(Node):
    """break and continue."""

    word: str

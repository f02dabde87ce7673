"""Jot, a small language with closures, integers of any size, floats, strings and arrays."""

from .errors import JotError, OutOfBudget, RuntimeFault, SyntaxFault
from .machine import Machine

__all__ = ["JotError", "Machine", "OutOfBudget", "RuntimeFault", "SyntaxFault"]

"""The text form of functions, `.cnp`: for files, tests and reports. It reads like the face, a line an op.

    module    = { extern | function }
    extern    = "extern" callable "(" [ type { "," type } ] ")" [ "->" type ] [ "=" number ]
    function  = "func" callable "(" [ register ":" type { "," register ":" type } ] ")" [ "->" type ]
                { line } "end"
    line      = "reg" register { "," register } ":" type
              | "label" label { "," label }                           only to number labels in another order
              | label ":"
              | "branch_table" source "," "[" [ label { "," label } ] "]" "," label
              | "call" [ register "," ] callable "(" [ source { "," source } ] ")"
              | [ "branch" ] op [ operand { "," operand } ]           operands as in the method of that name
    operand   = source | register | label | number                    an offset of 0 may be left out
    source    = register | number
    register  = name | "%" digits                                     the latter has no name
    label     = name | "@" digits
    callable  = name | a JSON string
    number    = -1  0x7f  1_000  1.5  1e-3  0x1.8p+1  inf  -nan  nan:0x1 (a payload, 23 bits of an f32, 52 of an f64)
    name      = a letter or _, then letters, digits, _ and dots; not inf or nan

An extern without an address is a C function that a linker knows by that name: for `cnp emit`. A comment runs from ; to
the end of its line.
"""

from cnp.ir.text.module import Module
from cnp.ir.text.parser import parse
from cnp.ir.text.printer import print_function, print_module, print_op

__all__ = ["Module", "parse", "print_function", "print_module", "print_op"]

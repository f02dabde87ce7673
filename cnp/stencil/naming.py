"""Names stencils after their placements, for listings."""

from __future__ import annotations

from cnp.stencil.model import NO_RESULT, Shape
from cnp.stencil.words import Form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnp.stencil.library import Library, OpRow

_FIRST_FLOAT_TYPE = 2


def placement_names(library: Library) -> dict[int, str]:
    """What each stencil is, by index. Of several placements that share a stencil, the first."""
    result: dict[int, str] = {}
    for name, index in library.control.items():
        result.setdefault(index, name)
    placements = library.placements
    for op in library.ops:
        for form in Form:
            if op.forms >> form & 1:
                for index in range(form_size(library, op, form)):
                    stencil = placements[op.bases[form] + index]
                    if stencil and stencil not in result:
                        result[stencil] = placement_name(library, op, form, index)
        for number, family in enumerate(op.families):
            scale = op.scales[number * len(op.scales) // len(op.families)]
            for stencil in filter(None, library.family(family)):
                result.setdefault(stencil, f"{op.name} index<<{scale}")
    for size, index in enumerate(library.padding):
        result.setdefault(index, f"padding of {size}")
    for index, name in list(result.items()):
        short = library.stencil(index).short_form
        if short:
            result.setdefault(short, name + " (short)")
    return result


def form_alternatives(library: Library, op: OpRow, form: Form) -> tuple[int, int, int, int]:
    """How many alternatives d, a, b and c have in a form; the product is its size, row-major its order."""
    d, a, b, c = op.alternatives
    if form == Form.FREE:
        return d, a, b, c
    if form == Form.FREE_IMMEDIATE:
        return d, a, op.classes[1].bit_count(), 1
    if form == Form.REVERSED:
        return 1, op.reversed_alternatives, b - op.classes[1].bit_count(), c
    return 1, a, b, c


def form_size(library: Library, op: OpRow, form: Form) -> int:
    """How many placements a form has."""
    d, a, b, c = form_alternatives(library, op, form)
    return op.patterns * d * a * b * c


def placement_name(library: Library, op: OpRow, form: Form, index: int) -> str:
    """`i64.add d=r1 a=r2 b=I8`; a register that is a field is `r`, and `d` where it is the destination's."""
    n_d, n_a, n_b, n_c = form_alternatives(library, op, form)
    rest, c = divmod(index, n_c)
    rest, b = divmod(rest, n_b)
    rest, a = divmod(rest, n_a)
    pattern, d = divmod(rest, n_d)
    words = [op.name]
    if form in (Form.FREE, Form.FREE_IMMEDIATE) and op.result_type != NO_RESULT:
        words.append(f"d={_alternative(library, d, op.result_type, 0)}")
    elif form == Form.SLOT_RESULT:
        words.append("d=slot")
    elif form != Form.FREE and op.result_type != NO_RESULT:
        words.append("d=b" if form == Form.REVERSED else "d=a, scratch" if form == Form.SCRATCH else "d=a")
    types = list(op.operand_types)
    others = {Form.TIED: "bc", Form.SCRATCH: "bc", Form.REVERSED: "ac"}.get(form, "ab")
    same = [letter for bit, letter in enumerate(others) if pattern >> bit & 1]
    for position, (letter, alternative) in enumerate(zip("abc", (a, b, c))):
        mask = op.classes[position]
        immediates_only = position >= len(types) or (op.shape == Shape.MAGIC and letter == "b")
        if form == Form.REVERSED and letter == "a":
            mask = op.reversed_class
        if letter in same:
            words.append(f"{letter}=d")
        elif immediates_only or (form == Form.FREE_IMMEDIATE and letter == "b"):
            if mask:
                words.append(f"{letter}={_class(library, mask, alternative)}")
        else:
            words.append(f"{letter}={_alternative(library, alternative, types[position], mask)}")
    return " ".join(words)


def _alternative(library: Library, alternative: int, type: int, mask: int) -> str:
    is_float = type >= _FIRST_FLOAT_TYPE
    groups = library.register_alternatives[is_float]
    slot = max(groups) + 1
    if alternative < slot:
        return f"{'f' if is_float else 'r'}{alternative if slot == len(groups) else ''}"
    return "slot" if alternative == slot else _class(library, mask, alternative - slot - 1)


def _class(library: Library, mask: int, rank: int) -> str:
    for _ in range(rank):
        mask &= mask - 1
    return library.classes[(mask & -mask).bit_length() - 1][0]

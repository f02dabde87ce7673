"""The signatures of the op methods. Generated from the op table by cnp.ir.stubs: do not edit."""

from collections.abc import Callable, Iterable
from typing import SupportsFloat, SupportsIndex

from cnp.ir.function import CalledOp, Label, Register
from cnp.ir.optable import OpRow

Emitter = Callable[..., None]
Integer = Register | SupportsIndex
Float = Register | SupportsFloat | SupportsIndex

def make_method(row: OpRow) -> Emitter: ...
def make_called(op: CalledOp) -> Emitter: ...

class OpMethods:
    __slots__ = ()
    @classmethod
    def install(cls, op_rows: Iterable[OpRow]) -> None: ...
    def i32_wrap_i64(self, d: Register, a: Integer) -> None:
        """i32.wrap_i64"""
    def i64_extend_i32_s(self, d: Register, a: Integer) -> None:
        """i64.extend_i32_s"""
    def i64_extend_i32_u(self, d: Register, a: Integer) -> None:
        """i64.extend_i32_u"""
    def i32_trunc_f32_s(self, d: Register, a: Float) -> None:
        """i32.trunc_f32_s"""
    def i32_trunc_f64_s(self, d: Register, a: Float) -> None:
        """i32.trunc_f64_s"""
    def i64_trunc_f32_s(self, d: Register, a: Float) -> None:
        """i64.trunc_f32_s"""
    def i64_trunc_f64_s(self, d: Register, a: Float) -> None:
        """i64.trunc_f64_s"""
    def i32_trunc_f32_u(self, d: Register, a: Float) -> None:
        """i32.trunc_f32_u"""
    def i32_trunc_f64_u(self, d: Register, a: Float) -> None:
        """i32.trunc_f64_u"""
    def i64_trunc_f32_u(self, d: Register, a: Float) -> None:
        """i64.trunc_f32_u"""
    def i64_trunc_f64_u(self, d: Register, a: Float) -> None:
        """i64.trunc_f64_u"""
    def i32_trunc_sat_f32_s(self, d: Register, a: Float) -> None:
        """i32.trunc_sat_f32_s"""
    def i32_trunc_sat_f64_s(self, d: Register, a: Float) -> None:
        """i32.trunc_sat_f64_s"""
    def i64_trunc_sat_f32_s(self, d: Register, a: Float) -> None:
        """i64.trunc_sat_f32_s"""
    def i64_trunc_sat_f64_s(self, d: Register, a: Float) -> None:
        """i64.trunc_sat_f64_s"""
    def i32_trunc_sat_f32_u(self, d: Register, a: Float) -> None:
        """i32.trunc_sat_f32_u"""
    def i32_trunc_sat_f64_u(self, d: Register, a: Float) -> None:
        """i32.trunc_sat_f64_u"""
    def i64_trunc_sat_f32_u(self, d: Register, a: Float) -> None:
        """i64.trunc_sat_f32_u"""
    def i64_trunc_sat_f64_u(self, d: Register, a: Float) -> None:
        """i64.trunc_sat_f64_u"""
    def f32_convert_i32_s(self, d: Register, a: Integer) -> None:
        """f32.convert_i32_s"""
    def f32_convert_i32_u(self, d: Register, a: Integer) -> None:
        """f32.convert_i32_u"""
    def f32_convert_i64_s(self, d: Register, a: Integer) -> None:
        """f32.convert_i64_s"""
    def f32_convert_i64_u(self, d: Register, a: Integer) -> None:
        """f32.convert_i64_u"""
    def f64_convert_i32_s(self, d: Register, a: Integer) -> None:
        """f64.convert_i32_s"""
    def f64_convert_i32_u(self, d: Register, a: Integer) -> None:
        """f64.convert_i32_u"""
    def f64_convert_i64_s(self, d: Register, a: Integer) -> None:
        """f64.convert_i64_s"""
    def f64_convert_i64_u(self, d: Register, a: Integer) -> None:
        """f64.convert_i64_u"""
    def f32_demote_f64(self, d: Register, a: Float) -> None:
        """f32.demote_f64"""
    def f64_promote_f32(self, d: Register, a: Float) -> None:
        """f64.promote_f32"""
    def i32_reinterpret_f32(self, d: Register, a: Float) -> None:
        """i32.reinterpret_f32"""
    def i64_reinterpret_f64(self, d: Register, a: Float) -> None:
        """i64.reinterpret_f64"""
    def f32_reinterpret_i32(self, d: Register, a: Integer) -> None:
        """f32.reinterpret_i32"""
    def f64_reinterpret_i64(self, d: Register, a: Integer) -> None:
        """f64.reinterpret_i64"""
    def f32_add(self, d: Register, a: Float, b: Float) -> None:
        """f32.add"""
    def f64_add(self, d: Register, a: Float, b: Float) -> None:
        """f64.add"""
    def f32_sub(self, d: Register, a: Float, b: Float) -> None:
        """f32.sub"""
    def f64_sub(self, d: Register, a: Float, b: Float) -> None:
        """f64.sub"""
    def f32_mul(self, d: Register, a: Float, b: Float) -> None:
        """f32.mul"""
    def f64_mul(self, d: Register, a: Float, b: Float) -> None:
        """f64.mul"""
    def f32_div(self, d: Register, a: Float, b: Float) -> None:
        """f32.div"""
    def f64_div(self, d: Register, a: Float, b: Float) -> None:
        """f64.div"""
    def f32_sqrt(self, d: Register, a: Float) -> None:
        """f32.sqrt"""
    def f64_sqrt(self, d: Register, a: Float) -> None:
        """f64.sqrt"""
    def f32_neg(self, d: Register, a: Float) -> None:
        """f32.neg"""
    def f64_neg(self, d: Register, a: Float) -> None:
        """f64.neg"""
    def f32_abs(self, d: Register, a: Float) -> None:
        """f32.abs"""
    def f64_abs(self, d: Register, a: Float) -> None:
        """f64.abs"""
    def f32_copysign(self, d: Register, a: Float, b: Float) -> None:
        """f32.copysign"""
    def f64_copysign(self, d: Register, a: Float, b: Float) -> None:
        """f64.copysign"""
    def f32_ceil(self, d: Register, a: Float) -> None:
        """f32.ceil"""
    def f64_ceil(self, d: Register, a: Float) -> None:
        """f64.ceil"""
    def f32_floor(self, d: Register, a: Float) -> None:
        """f32.floor"""
    def f64_floor(self, d: Register, a: Float) -> None:
        """f64.floor"""
    def f32_trunc(self, d: Register, a: Float) -> None:
        """f32.trunc"""
    def f64_trunc(self, d: Register, a: Float) -> None:
        """f64.trunc"""
    def f32_nearest(self, d: Register, a: Float) -> None:
        """f32.nearest"""
    def f64_nearest(self, d: Register, a: Float) -> None:
        """f64.nearest"""
    def f32_min(self, d: Register, a: Float, b: Float) -> None:
        """f32.min"""
    def f64_min(self, d: Register, a: Float, b: Float) -> None:
        """f64.min"""
    def f32_max(self, d: Register, a: Float, b: Float) -> None:
        """f32.max"""
    def f64_max(self, d: Register, a: Float, b: Float) -> None:
        """f64.max"""
    def f32_eq(self, d: Register, a: Float, b: Float) -> None:
        """f32.eq"""
    def branch_f32_eq(self, a: Float, b: Float, label: Label) -> None:
        """branch f32.eq"""
    def f64_eq(self, d: Register, a: Float, b: Float) -> None:
        """f64.eq"""
    def branch_f64_eq(self, a: Float, b: Float, label: Label) -> None:
        """branch f64.eq"""
    def f32_ne(self, d: Register, a: Float, b: Float) -> None:
        """f32.ne"""
    def branch_f32_ne(self, a: Float, b: Float, label: Label) -> None:
        """branch f32.ne"""
    def f64_ne(self, d: Register, a: Float, b: Float) -> None:
        """f64.ne"""
    def branch_f64_ne(self, a: Float, b: Float, label: Label) -> None:
        """branch f64.ne"""
    def f32_lt(self, d: Register, a: Float, b: Float) -> None:
        """f32.lt"""
    def branch_f32_lt(self, a: Float, b: Float, label: Label) -> None:
        """branch f32.lt"""
    def f64_lt(self, d: Register, a: Float, b: Float) -> None:
        """f64.lt"""
    def branch_f64_lt(self, a: Float, b: Float, label: Label) -> None:
        """branch f64.lt"""
    def f32_gt(self, d: Register, a: Float, b: Float) -> None:
        """f32.gt"""
    def branch_f32_gt(self, a: Float, b: Float, label: Label) -> None:
        """branch f32.gt"""
    def f64_gt(self, d: Register, a: Float, b: Float) -> None:
        """f64.gt"""
    def branch_f64_gt(self, a: Float, b: Float, label: Label) -> None:
        """branch f64.gt"""
    def f32_le(self, d: Register, a: Float, b: Float) -> None:
        """f32.le"""
    def branch_f32_le(self, a: Float, b: Float, label: Label) -> None:
        """branch f32.le"""
    def f64_le(self, d: Register, a: Float, b: Float) -> None:
        """f64.le"""
    def branch_f64_le(self, a: Float, b: Float, label: Label) -> None:
        """branch f64.le"""
    def f32_ge(self, d: Register, a: Float, b: Float) -> None:
        """f32.ge"""
    def branch_f32_ge(self, a: Float, b: Float, label: Label) -> None:
        """branch f32.ge"""
    def f64_ge(self, d: Register, a: Float, b: Float) -> None:
        """f64.ge"""
    def branch_f64_ge(self, a: Float, b: Float, label: Label) -> None:
        """branch f64.ge"""
    def i32_add(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.add"""
    def i64_add(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.add"""
    def i64_add_end_around(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.add_end_around"""
    def i32_sub(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.sub"""
    def i64_sub(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.sub"""
    def i32_mul(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.mul"""
    def i64_mul(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.mul"""
    def i32_and(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.and"""
    def i64_and(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.and"""
    def i32_or(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.or"""
    def i64_or(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.or"""
    def i32_xor(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.xor"""
    def i64_xor(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.xor"""
    def i32_shl(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.shl"""
    def i64_shl(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.shl"""
    def i32_shr_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.shr_s"""
    def i64_shr_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.shr_s"""
    def i32_shr_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.shr_u"""
    def i64_shr_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.shr_u"""
    def i32_rotl(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.rotl"""
    def i64_rotl(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.rotl"""
    def i32_rotr(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.rotr"""
    def i64_rotr(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.rotr"""
    def i32_div_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.div_s"""
    def i64_div_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.div_s"""
    def i32_div_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.div_u"""
    def i64_div_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.div_u"""
    def i32_rem_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.rem_s"""
    def i64_rem_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.rem_s"""
    def i32_rem_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.rem_u"""
    def i64_rem_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.rem_u"""
    def i32_clz(self, d: Register, a: Integer) -> None:
        """i32.clz"""
    def i64_clz(self, d: Register, a: Integer) -> None:
        """i64.clz"""
    def i32_ctz(self, d: Register, a: Integer) -> None:
        """i32.ctz"""
    def i64_ctz(self, d: Register, a: Integer) -> None:
        """i64.ctz"""
    def i32_popcnt(self, d: Register, a: Integer) -> None:
        """i32.popcnt"""
    def i64_popcnt(self, d: Register, a: Integer) -> None:
        """i64.popcnt"""
    def i32_bswap(self, d: Register, a: Integer) -> None:
        """i32.bswap"""
    def i64_bswap(self, d: Register, a: Integer) -> None:
        """i64.bswap"""
    def i32_extend8_s(self, d: Register, a: Integer) -> None:
        """i32.extend8_s"""
    def i64_extend8_s(self, d: Register, a: Integer) -> None:
        """i64.extend8_s"""
    def i32_extend16_s(self, d: Register, a: Integer) -> None:
        """i32.extend16_s"""
    def i64_extend16_s(self, d: Register, a: Integer) -> None:
        """i64.extend16_s"""
    def i64_extend32_s(self, d: Register, a: Integer) -> None:
        """i64.extend32_s"""
    def i32_eqz(self, d: Register, a: Integer) -> None:
        """i32.eqz"""
    def branch_i32_eqz(self, a: Integer, label: Label) -> None:
        """branch i32.eqz"""
    def i64_eqz(self, d: Register, a: Integer) -> None:
        """i64.eqz"""
    def branch_i64_eqz(self, a: Integer, label: Label) -> None:
        """branch i64.eqz"""
    def i32_nez(self, d: Register, a: Integer) -> None:
        """i32.nez"""
    def branch_i32_nez(self, a: Integer, label: Label) -> None:
        """branch i32.nez"""
    def i64_nez(self, d: Register, a: Integer) -> None:
        """i64.nez"""
    def branch_i64_nez(self, a: Integer, label: Label) -> None:
        """branch i64.nez"""
    def i32_eq(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.eq"""
    def branch_i32_eq(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i32.eq"""
    def i64_eq(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.eq"""
    def branch_i64_eq(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i64.eq"""
    def i32_ne(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.ne"""
    def branch_i32_ne(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i32.ne"""
    def i64_ne(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.ne"""
    def branch_i64_ne(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i64.ne"""
    def i32_lt_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.lt_s"""
    def branch_i32_lt_s(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i32.lt_s"""
    def i64_lt_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.lt_s"""
    def branch_i64_lt_s(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i64.lt_s"""
    def i32_lt_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.lt_u"""
    def branch_i32_lt_u(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i32.lt_u"""
    def i64_lt_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.lt_u"""
    def branch_i64_lt_u(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i64.lt_u"""
    def i32_gt_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.gt_s"""
    def branch_i32_gt_s(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i32.gt_s"""
    def i64_gt_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.gt_s"""
    def branch_i64_gt_s(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i64.gt_s"""
    def i32_gt_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.gt_u"""
    def branch_i32_gt_u(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i32.gt_u"""
    def i64_gt_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.gt_u"""
    def branch_i64_gt_u(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i64.gt_u"""
    def i32_le_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.le_s"""
    def branch_i32_le_s(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i32.le_s"""
    def i64_le_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.le_s"""
    def branch_i64_le_s(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i64.le_s"""
    def i32_le_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.le_u"""
    def branch_i32_le_u(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i32.le_u"""
    def i64_le_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.le_u"""
    def branch_i64_le_u(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i64.le_u"""
    def i32_ge_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.ge_s"""
    def branch_i32_ge_s(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i32.ge_s"""
    def i64_ge_s(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.ge_s"""
    def branch_i64_ge_s(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i64.ge_s"""
    def i32_ge_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i32.ge_u"""
    def branch_i32_ge_u(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i32.ge_u"""
    def i64_ge_u(self, d: Register, a: Integer, b: Integer) -> None:
        """i64.ge_u"""
    def branch_i64_ge_u(self, a: Integer, b: Integer, label: Label) -> None:
        """branch i64.ge_u"""
    def i32_load(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i32.load"""
    def i64_load(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.load"""
    def f32_load(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """f32.load"""
    def f64_load(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """f64.load"""
    def i32_load8_s(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i32.load8_s"""
    def i32_load8_u(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i32.load8_u"""
    def i32_load16_s(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i32.load16_s"""
    def i32_load16_u(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i32.load16_u"""
    def i64_load8_s(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.load8_s"""
    def i64_load8_u(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.load8_u"""
    def i64_load16_s(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.load16_s"""
    def i64_load16_u(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.load16_u"""
    def i64_load32_s(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.load32_s"""
    def i64_load32_u(self, d: Register, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.load32_u"""
    def i32_store(self, value: Integer, base: Integer, offset: SupportsIndex = 0) -> None:
        """i32.store"""
    def i64_store(self, value: Integer, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.store"""
    def f32_store(self, value: Float, base: Integer, offset: SupportsIndex = 0) -> None:
        """f32.store"""
    def f64_store(self, value: Float, base: Integer, offset: SupportsIndex = 0) -> None:
        """f64.store"""
    def i32_store8(self, value: Integer, base: Integer, offset: SupportsIndex = 0) -> None:
        """i32.store8"""
    def i32_store16(self, value: Integer, base: Integer, offset: SupportsIndex = 0) -> None:
        """i32.store16"""
    def i64_store8(self, value: Integer, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.store8"""
    def i64_store16(self, value: Integer, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.store16"""
    def i64_store32(self, value: Integer, base: Integer, offset: SupportsIndex = 0) -> None:
        """i64.store32"""

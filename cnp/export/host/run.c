/* Calling what was compiled. */

cnp_c_function cnp_pointer(const cnp_code *code, size_t index) {
    if (index >= code->n)
        return NULL;
    return (cnp_c_function)(uintptr_t)(code->session->arena.executable + code->extent->start + code->parts[index].entry);
}

size_t cnp_code_size(const cnp_code *code, size_t index) { return index < code->n ? code->parts[index].size : 0; }

/* An argument as compiled code has it in a register. */
static void pass(const struct library *library, u8 type, cnp_any value, u64 **integers, f64 **floats) {
    u64 ones = library->extends_signs ? ~0ull << 32 : 0, bits = 0;
    if (type == CNP_F64)
        *(*floats)++ = value.f64;
    else if (type == CNP_F32) {
        memcpy(&bits, &value.f32, sizeof value.f32);
        bits |= ones; /* without which it is a NaN where they are wanted */
        memcpy((*floats)++, &bits, sizeof bits);
    } else if (type == CNP_I32)
        *(*integers)++ = library->extends_signs ? (u64)(s64)value.i32 : (u64)(u32)value.i32;
    else
        *(*integers)++ = (u64)value.i64;
}

int64_t cnp_fuel(cnp_session *session, int64_t fuel) {
    return ROUTINE(session, s64 (*)(const struct host *, s64), cnp_fuel)(&session->host, fuel);
}

cnp_trap_kind cnp_call(const cnp_code *code, size_t index, const cnp_any *arguments, cnp_any *result, cnp_trap *trap) {
    const struct signature *signature = &code->parts[index].signature;
    cnp_session *session = code->session;
    u64 integers[ARGUMENTS] = {0}, word, *integer = integers;
    f64 floats[ARGUMENTS] = {0}, *real = floats;
    struct cnp_result returned;
    for (u32 k = 0; k < signature->n_parameters; k++)
        pass(&session->library, signature->parameter_type[k], arguments[k], &integer, &real);
    word = ROUTINE(session, run_routine, cnp_run)(signature, integers, floats, &returned);
    if (word) {
        if (trap)
            *trap = describe_trap(session, word, signature);
        return (cnp_trap_kind)(word & 15);
    }
    if (result && signature->result_type == CNP_F64)
        result->f64 = returned.f;
    else if (result && signature->result_type == CNP_F32)
        memcpy(&result->f32, &returned.f, sizeof result->f32);
    else if (result && signature->result_type == CNP_I32)
        result->i32 = (s32)returned.i;
    else if (result && signature->result_type != NO_TYPE)
        result->i64 = (s64)returned.i;
    return CNP_TRAP_NONE;
}

/* The ops of examples/ops in a C program. */
#include "cnp.h"
#include "vm.h"

#include <stdio.h>

int main(void) {
    static const long long items[] = {1, INT64_MAX};
    struct vm vm = {7, items, 2};
    cnp_error error;
    cnp_session *session = cnp_open(NULL, &error);
    cnp_function *f = cnp_new(session, "item", CNP_I64);
    cnp_value base = cnp_parameter(f, CNP_I64), index = cnp_parameter(f, CNP_I64), d = cnp_register(f, CNP_I64);
    cnp_value place = cnp_register(f, CNP_I64), x = cnp_register(f, CNP_F64);
    cnp_code *code;
    cnp_any arguments[2], result;
    cnp_trap trap;
    cnp_move(f, x, cnp_const_f64(2));
    cnp_vm_item(f, d, base, index);
    cnp_vm_forget(f, base);
    cnp_vm_find(f, place, base, cnp_const_i64(INT64_MAX));
    cnp_f64_polynomial(f, x, x, cnp_const_f64(1), x, x, x, x, x, x);
    cnp_i64_sat_add(f, d, d, index);
    cnp_i64_trunc_f64_s(f, index, x);
    cnp_i64_add(f, place, place, index);
    cnp_i64_sub(f, d, d, place);
    cnp_ret(f, d);
    code = cnp_compile(session, &f, 1, &error);
    if (!code) {
        printf("%s\n", error.message);
        return 1;
    }
    arguments[0].address = &vm;
    arguments[1].i64 = 1;
    if (!cnp_call(code, 0, arguments, &result, &trap))
        printf("%lld, %llu, ", (long long)result.i64, vm.executed);
    arguments[1].i64 = 2;
    if (cnp_call(code, 0, arguments, &result, &trap))
        printf("%s in %s at op %u\n", trap.reason, trap.function, (unsigned)trap.op);
    cnp_delete(f);
    cnp_close(session);
    return 0;
}

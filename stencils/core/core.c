/* The core: one translation unit, so that everything but its entry points is static and the object needs no linking
 * beyond its own sections. Read in this order. */
#include "layout.h"
#include "compile.h"
#include "events.h"
#include "immediate.h"
#include "magic.h"
#include "values.h"
#include "packed.h"
#include "operands.c"
#include "decode.c"
#include "fold.c"
#include "loops.h"
#include "loops.c"
#include "share.c"
#include "hoist.c"
#include "wide.c"
#include "induct.c"
#include "reorder.c"
#include "flow.c"
#include "liveness.c"
#include "allocate.c"
#include "put.c"
#include "forms.c"
#include "strength.c"
#include "select.c"
#include "calls.c"
#include "settle.c"
#include "islands.c"
#include "exits.c"
#include "function.c"
#include "emit.c"
#include "retire.c"
#include "fault.c"
#include "enter.c"
#include "python.c"
#include "walk.c"
#include "guest_exits.c"
#include "entered.c"
#include "outward.c"

static int compile(const struct library *library, const struct python *python, struct request *request, int improve) {
    struct compilation *c = (struct compilation *)request->scratch;
    *c = (struct compilation){
        .library = library, .python = python, .request = request, .n_registers = request->n_registers};
    c->next = request->scratch + sizeof *c;
    c->next += -(u64)c->next & 15;
    c->end = request->scratch + request->scratch_size;
    c->constants = (i64 *)c->end;
    c->types = request->types ? (const u8 *)python->PyByteArray_AsString(request->types) : request->type_bytes;
    request->compilation = c;
    request->error = OK;
    request->is_plain = !improve;
    if (!decode(c))
        return (int)request->error;
    if (improve) {
        fold_values(c);
        if (!request->pins && !improve_loops(c))
            return (int)request->error;
    }
    if (analyse_flow(c) && find_intervals(c) && allocate_registers(c) && select_function(c)) {
        request->n_items = c->n_items;
        request->code_end = c->code_end;
        request->n_traces = c->n_traces;
        request->traces = c->traces;
        request->intervals = c->intervals;
        request->scratch_used = request->scratch_size - (u64)(c->end - c->next);
    }
    return (int)request->error;
}

/* Everything but the copying: afterwards request->code_size says how much code memory cnp_emit wants. */
int cnp_compile(const struct library *library, const struct python *python, struct request *request) {
    int error = compile(library, python, request, 1);
    /* Where ops and operands have moved, a message would blame others. */
    return error == USE_BEFORE_DEFINITION ? compile(library, python, request, 0) : error;
}

/* For the run time to see that it and the core speak of the same structures. */
u32 cnp_size_of(u32 structure) {
    static const u16 sizes[] = {sizeof(struct library), sizeof(struct host), sizeof(struct signature), sizeof(struct callee),
                                sizeof(struct request), sizeof(struct interval), sizeof(struct trace), sizeof(struct external),
                                sizeof(struct callback), sizeof(struct side_exit), sizeof(struct side_exit_value),
                                sizeof(struct threads)};
    return structure < sizeof sizes / sizeof *sizes ? sizes[structure] : 0;
}

/* cnp, for C: the core of a stencil library, loaded and fed. Made of the files that are named below; public functions are
 * described in cnp.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create, pthread_getattr_np, sigaction */
#endif
#include "cnp.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "words.h"
#include "machine.h"
#include "atomic.h"
#include "data.h"
#include "tables.h"
#include "operand.h"
#include "operations.h"
#include "session.h"
#include "function.h"
#include "error.c"
#include "memory.c"
#include "faults.c"
#include "context.c"
#include "builder.c"
#include "function.c"
#include "calls.c"
#include "called.c"
#include "cells.h"
#include "assumptions.c"
#include "cells.c"
#include "run.c"
#include "exits.c"
#include "message.c"
#include "compile.c"
#include "entered.c"
#include "retire.c"
#include "policy.c"
#include "tiers.c"
#include "guest_table.h"
#include "callees.c"
#include "guards.c"
#include "translate.c"
#include "bytecode.h"
#include "session.c"

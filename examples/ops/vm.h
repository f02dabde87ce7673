/* What an interpreter keeps of its own, as its C code and its ops see it. */
#ifndef VM_H
#define VM_H

struct vm {
    unsigned long long executed; /* how many times the op `vm.count` ran */
    const long long *items;      /* an array that the guest indexes */
    unsigned long long length;
};

#endif

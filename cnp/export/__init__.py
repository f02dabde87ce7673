"""A stencil library -> two C files that embed it, cnp.h and cnp.c, which need nothing but a C compiler."""

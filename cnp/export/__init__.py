"""A stencil library -> C files that embed it: cnp.h, cnp.c and cnp_data.h, which need nothing but a C compiler."""

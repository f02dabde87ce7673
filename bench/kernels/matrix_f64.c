/* c = a * b, square matrices of f64, n rows of n. */
#include <stdint.h>

void matrix_f64(double *c, const double *a, const double *b, int64_t n) {
    const double *row = a;
    for (int64_t i = 0; i < n; i++) {
        const double *column = b;
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            const double *p = row, *q = column;
            for (int64_t k = 0; k < n; k++) {
                sum += *p * *q;
                p += 1;
                q += n;
            }
            *c++ = sum;
            column += 1;
        }
        row += n;
    }
}

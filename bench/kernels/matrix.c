/* c = a * b, square matrices of f64, n rows of n. */
#include <stdint.h>

void matrix(double *c, const double *a, const double *b, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}

/* The spectral norm of the first n rows and columns of an infinite matrix, by the power method. */
#include <stdint.h>

double sqrt(double);

static void times(double *result, const double *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += v[j] / (double)((i + j) * (i + j + 1) / 2 + i + 1);
        result[i] = sum;
    }
}

static void times_transposed(double *result, const double *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += v[j] / (double)((i + j) * (i + j + 1) / 2 + j + 1);
        result[i] = sum;
    }
}

double spectral_norm(double *u, double *v, double *w, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        u[i] = 1.0;
    for (int64_t step = 0; step < 10; step++) {
        times(w, u, n);
        times_transposed(v, w, n);
        times(w, v, n);
        times_transposed(u, w, n);
    }
    double uv = 0, vv = 0;
    for (int64_t i = 0; i < n; i++) {
        uv += u[i] * v[i];
        vv += v[i] * v[i];
    }
    return sqrt(uv / vv);
}

/* A matrix of n rows of n, every number times 10; all of it so many times over. */
#include <stdint.h>

void scale(int32_t *scaled, const int32_t *matrix, int64_t n, int64_t rounds) {
    for (int64_t round = 0; round < rounds; round++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                scaled[i * n + j] = matrix[i * n + j] * 10;
}

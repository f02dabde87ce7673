/* Twenty-four values that all live through a loop: each adds the next one, mixed with the round's number. */
#include <stdint.h>

int64_t registers24(const int64_t *start, int64_t n) {
    int64_t v0 = start[0];
    int64_t v1 = start[1];
    int64_t v2 = start[2];
    int64_t v3 = start[3];
    int64_t v4 = start[4];
    int64_t v5 = start[5];
    int64_t v6 = start[6];
    int64_t v7 = start[7];
    int64_t v8 = start[8];
    int64_t v9 = start[9];
    int64_t v10 = start[10];
    int64_t v11 = start[11];
    int64_t v12 = start[12];
    int64_t v13 = start[13];
    int64_t v14 = start[14];
    int64_t v15 = start[15];
    int64_t v16 = start[16];
    int64_t v17 = start[17];
    int64_t v18 = start[18];
    int64_t v19 = start[19];
    int64_t v20 = start[20];
    int64_t v21 = start[21];
    int64_t v22 = start[22];
    int64_t v23 = start[23];
    for (int64_t i = 0; i < n; i++) {
        v0 += v1 ^ i;
        v1 += v2 ^ i;
        v2 += v3 ^ i;
        v3 += v4 ^ i;
        v4 += v5 ^ i;
        v5 += v6 ^ i;
        v6 += v7 ^ i;
        v7 += v8 ^ i;
        v8 += v9 ^ i;
        v9 += v10 ^ i;
        v10 += v11 ^ i;
        v11 += v12 ^ i;
        v12 += v13 ^ i;
        v13 += v14 ^ i;
        v14 += v15 ^ i;
        v15 += v16 ^ i;
        v16 += v17 ^ i;
        v17 += v18 ^ i;
        v18 += v19 ^ i;
        v19 += v20 ^ i;
        v20 += v21 ^ i;
        v21 += v22 ^ i;
        v22 += v23 ^ i;
        v23 += v0 ^ i;
    }
    return v0 ^ v1 ^ v2 ^ v3 ^ v4 ^ v5 ^ v6 ^ v7 ^ v8 ^ v9 ^ v10 ^ v11 ^
           v12 ^ v13 ^ v14 ^ v15 ^ v16 ^ v17 ^ v18 ^ v19 ^ v20 ^ v21 ^ v22 ^ v23;
}

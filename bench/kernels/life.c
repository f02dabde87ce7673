/* Conway's game of life, from cells made first, in a frame of dead ones; how many live after some generations. */
#include <stdint.h>

int64_t life(uint8_t *cells, uint8_t *next, int64_t width, int64_t height, int64_t generations) {
    int64_t stride = width + 2;
    uint64_t seed = 42;
    for (int64_t y = 1; y <= height; y++)
        for (int64_t x = 1; x <= width; x++) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            cells[y * stride + x] = seed >> 63;
        }
    for (int64_t generation = 0; generation < generations; generation++) {
        for (int64_t y = 1; y <= height; y++) {
            const uint8_t *row = cells + y * stride, *above = row - stride, *below = row + stride;
            uint8_t *born = next + y * stride;
            for (int64_t x = 1; x <= width; x++) {
                int32_t around = above[x - 1] + above[x] + above[x + 1] + row[x - 1] + row[x + 1] + below[x - 1] +
                                 below[x] + below[x + 1];
                born[x] = (around == 3) | ((around == 2) & row[x]);
            }
        }
        uint8_t *old = cells;
        cells = next;
        next = old;
    }
    int64_t alive = 0;
    for (int64_t y = 1; y <= height; y++)
        for (int64_t x = 1; x <= width; x++)
            alive += cells[y * stride + x];
    return alive;
}

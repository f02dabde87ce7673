/* For each point of a picture, how many steps it stays in the Mandelbrot set, at most limit. */
#include <stdint.h>

void mandelbrot(uint8_t *picture, int64_t width, int64_t height, int64_t limit) {
    for (int64_t y = 0; y < height; y++) {
        double ci = (double)y * 2.0 / (double)height - 1.0;
        for (int64_t x = 0; x < width; x++) {
            double cr = (double)x * 3.0 / (double)width - 2.0;
            double zr = 0, zi = 0;
            int64_t n = 0;
            while (n < limit) {
                double rr = zr * zr, ii = zi * zi;
                if (rr + ii > 4.0)
                    break;
                zi = 2.0 * zr * zi + ci;
                zr = rr - ii + cr;
                n++;
            }
            picture[y * width + x] = n;
        }
    }
}

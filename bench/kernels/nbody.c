/* Planets under one another's gravity for some steps of 0.01 days, from a start that is copied; the energy at the end. */
#include <stdint.h>

double sqrt(double);

struct body {
    double x, y, z, vx, vy, vz, mass;
};

static void advance(struct body *bodies, int64_t count, double dt) {
    for (int64_t i = 0; i < count; i++) {
        struct body *a = &bodies[i];
        for (int64_t j = i + 1; j < count; j++) {
            struct body *b = &bodies[j];
            double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            double square = dx * dx + dy * dy + dz * dz;
            double magnitude = dt / (square * sqrt(square));
            a->vx -= dx * b->mass * magnitude;
            a->vy -= dy * b->mass * magnitude;
            a->vz -= dz * b->mass * magnitude;
            b->vx += dx * a->mass * magnitude;
            b->vy += dy * a->mass * magnitude;
            b->vz += dz * a->mass * magnitude;
        }
    }
    for (int64_t i = 0; i < count; i++) {
        struct body *a = &bodies[i];
        a->x += dt * a->vx;
        a->y += dt * a->vy;
        a->z += dt * a->vz;
    }
}

static double energy(const struct body *bodies, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const struct body *a = &bodies[i];
        sum += 0.5 * a->mass * (a->vx * a->vx + a->vy * a->vy + a->vz * a->vz);
        for (int64_t j = i + 1; j < count; j++) {
            const struct body *b = &bodies[j];
            double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            sum -= a->mass * b->mass / sqrt(dx * dx + dy * dy + dz * dz);
        }
    }
    return sum;
}

double nbody(double *bodies, const double *start, int64_t count, int64_t steps) {
    for (int64_t i = 0; i < count * 7; i++)
        bodies[i] = start[i];
    for (int64_t i = 0; i < steps; i++)
        advance((struct body *)bodies, count, 0.01);
    return energy((struct body *)bodies, count);
}

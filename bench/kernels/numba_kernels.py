"""The kernels for numba: the algorithms of the C files over NumPy arrays, a function each, named as its file."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

FACTOR, TERM = np.uint64(6364136223846793005), np.uint64(1442695040888963407)


@njit
def binary_search(numbers, n, keys, m):
    total = 0
    for i in range(m):
        key, low, high = keys[i], 0, n
        while low < high:
            middle = (low + high) >> 1
            if numbers[middle] < key:
                low = middle + 1
            else:
                high = middle
        total += low
    return total


CODE, SLASH, LINE, BLOCK, STAR, QUOTED, ESCAPED = range(7)


@njit
def branches(counts, text, n):
    code = quoted = comment = 0
    state = CODE
    for i in range(n):
        c = text[i]
        if state == CODE:
            if c == 0x2F:
                state = SLASH
            elif c == 0x22:
                state = QUOTED
            else:
                code += 1
        elif state == SLASH:
            if c == 0x2F:
                state = LINE
            elif c == 0x2A:
                state = BLOCK
            else:
                code += 2
                state = CODE
        elif state == LINE:
            if c == 0x0A:
                state = CODE
            else:
                comment += 1
        elif state == BLOCK:
            if c == 0x2A:
                state = STAR
            else:
                comment += 1
        elif state == STAR:
            if c == 0x2F:
                state = CODE
            elif c != 0x2A:
                comment += 1
                state = BLOCK
        elif state == QUOTED:
            if c == 0x5C:
                state = ESCAPED
            elif c == 0x22:
                state = CODE
            else:
                quoted += 1
        elif state == ESCAPED:
            quoted += 1
            state = QUOTED
    counts[0], counts[1], counts[2] = code, quoted, comment


@njit
def mix(a, b):
    return (a ^ b) * 31 + (a >> 3)


@njit
def clamp(x, low, high):
    if x < low:
        return low
    if x > high:
        return high
    return x


@njit
def average(a, b, c):
    return (a + b + c) >> 2


@njit
def turn(state, i):
    mixed = mix(state, i)
    clamped = clamp(mixed, -100000, 100000)
    return average(mixed, clamped, i) & 0xFFFFFF


@njit
def calls(n):
    state = 1
    for i in range(n):
        state = turn(state, i) + mix(i, state)
    return state


@njit
def collatz(limit):
    longest = 0
    for start in range(1, limit):
        n, steps = start, 0
        while n != 1:
            n = n * 3 + 1 if n & 1 else n >> 1
            steps += 1
        longest = max(longest, steps)
    return longest


POLYNOMIAL, ONES, ONE, EIGHT, LOW = (np.uint32(each) for each in (0xEDB88320, 0xFFFFFFFF, 1, 8, 0xFF))


@njit
def crc32(table, data, n):
    for i in range(256):
        entry = np.uint32(i)
        for _ in range(8):
            entry = (entry >> ONE) ^ POLYNOMIAL if entry & ONE else entry >> ONE
        table[i] = entry
    crc = ONES
    for i in range(n):
        crc = np.uint32((crc >> EIGHT) ^ table[(crc ^ data[i]) & LOW])
    return np.int32(crc ^ ONES)


@njit
def digits(n):
    total = 0
    for i in range(n):
        rest = i
        while rest != 0:
            total += rest % 10
            rest //= 10
    return total


@njit
def edit_distance(row, s, m, t, n):
    for j in range(n + 1):
        row[j] = j
    for i in range(1, m + 1):
        diagonal = row[0]
        row[0] = i
        for j in range(1, n + 1):
            best = diagonal + (s[i - 1] != t[j - 1])
            diagonal = row[j]
            best = min(diagonal + 1, best)
            best = min(row[j - 1] + 1, best)
            row[j] = best
    return row[n]


@njit
def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)


BASIS, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


@njit
def fnv(data, n):
    hashed = BASIS
    for i in range(n):
        hashed ^= np.uint64(data[i])
        hashed *= PRIME
    return np.int64(hashed)


@njit
def fill(a, n):
    seed = np.uint64(42)
    for i in range(n):
        seed = seed * FACTOR + TERM
        a[i] = seed >> np.uint64(33)


@njit
def sift(a, root, n):
    value = a[root]
    while True:
        child = 2 * root + 1
        if child >= n:
            break
        if child + 1 < n and a[child + 1] > a[child]:
            child += 1
        if a[child] <= value:
            break
        a[root] = a[child]
        root = child
    a[root] = value


@njit
def heap_sort(a, n):
    fill(a, n)
    for i in range(n // 2 - 1, -1, -1):
        sift(a, i, n)
    for end in range(n - 1, 0, -1):
        a[end], a[0] = a[0], a[end]
        sift(a, 0, end)


@njit
def sort(a, low, high):
    if low >= high:
        return
    pivot = a[(low + high) >> 1]
    i, j = low, high
    while i <= j:
        while a[i] < pivot:
            i += 1
        while a[j] > pivot:
            j -= 1
        if i <= j:
            a[i], a[j] = a[j], a[i]
            i += 1
            j -= 1
    sort(a, low, j)
    sort(a, i, high)


@njit
def quick_sort(a, n):
    fill(a, n)
    sort(a, 0, n - 1)


@njit
def life(cells, following, width, height, generations):
    stride = width + 2
    seed = np.uint64(42)
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            seed = seed * FACTOR + TERM
            cells[y * stride + x] = seed >> np.uint64(63)
    for _ in range(generations):
        for y in range(1, height + 1):
            row, above, below = y * stride, (y - 1) * stride, (y + 1) * stride
            for x in range(1, width + 1):
                around = cells[above + x - 1] + cells[above + x] + cells[above + x + 1] + cells[row + x - 1]
                around += cells[row + x + 1] + cells[below + x - 1] + cells[below + x] + cells[below + x + 1]
                following[row + x] = (around == 3) | ((around == 2) & cells[row + x])
        cells, following = following, cells
    alive = 0
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            alive += cells[y * stride + x]
    return alive


@njit
def mandelbrot(picture, width, height, limit):
    for y in range(height):
        ci = y * 2.0 / height - 1.0
        for x in range(width):
            cr = x * 3.0 / width - 2.0
            zr, zi, n = 0.0, 0.0, 0
            while n < limit:
                rr, ii = zr * zr, zi * zi
                if rr + ii > 4.0:
                    break
                zi = 2.0 * zr * zi + ci
                zr = rr - ii + cr
                n += 1
            picture[y * width + x] = n


@njit
def matrix_f64(c, a, b, n):
    row = at = 0
    for _ in range(n):
        for column in range(n):
            total = 0.0
            p, q = row, column
            for _ in range(n):
                total += a[p] * b[q]
                p += 1
                q += n
            c[at] = total
            at += 1
        row += n


@njit
def matrix_i64(c, a, b, n):
    for i in range(n):
        for j in range(n):
            total = 0
            for k in range(n):
                total += a[i * n + k] * b[k * n + j]
            c[i * n + j] = total


X, Y, Z, VX, VY, VZ, MASS = range(7)


@njit
def advance(bodies, count, dt):
    for i in range(count):
        a = bodies[i * 7 : i * 7 + 7]
        for j in range(i + 1, count):
            b = bodies[j * 7 : j * 7 + 7]
            dx, dy, dz = a[X] - b[X], a[Y] - b[Y], a[Z] - b[Z]
            square = dx * dx + dy * dy + dz * dz
            magnitude = dt / (square * math.sqrt(square))
            a[VX] -= dx * b[MASS] * magnitude
            a[VY] -= dy * b[MASS] * magnitude
            a[VZ] -= dz * b[MASS] * magnitude
            b[VX] += dx * a[MASS] * magnitude
            b[VY] += dy * a[MASS] * magnitude
            b[VZ] += dz * a[MASS] * magnitude
    for i in range(count):
        a = bodies[i * 7 : i * 7 + 7]
        a[X] += dt * a[VX]
        a[Y] += dt * a[VY]
        a[Z] += dt * a[VZ]


@njit
def energy(bodies, count):
    total = 0.0
    for i in range(count):
        a = bodies[i * 7 : i * 7 + 7]
        total += 0.5 * a[MASS] * (a[VX] * a[VX] + a[VY] * a[VY] + a[VZ] * a[VZ])
        for j in range(i + 1, count):
            b = bodies[j * 7 : j * 7 + 7]
            dx, dy, dz = a[X] - b[X], a[Y] - b[Y], a[Z] - b[Z]
            total -= a[MASS] * b[MASS] / math.sqrt(dx * dx + dy * dy + dz * dz)
    return total


@njit
def nbody(bodies, start, count, steps):
    for i in range(count * 7):
        bodies[i] = start[i]
    for _ in range(steps):
        advance(bodies, count, 0.01)
    return energy(bodies, count)


@njit
def registers24(start, n):
    v0 = start[0]
    v1 = start[1]
    v2 = start[2]
    v3 = start[3]
    v4 = start[4]
    v5 = start[5]
    v6 = start[6]
    v7 = start[7]
    v8 = start[8]
    v9 = start[9]
    v10 = start[10]
    v11 = start[11]
    v12 = start[12]
    v13 = start[13]
    v14 = start[14]
    v15 = start[15]
    v16 = start[16]
    v17 = start[17]
    v18 = start[18]
    v19 = start[19]
    v20 = start[20]
    v21 = start[21]
    v22 = start[22]
    v23 = start[23]
    for i in range(n):
        v0 += v1 ^ i
        v1 += v2 ^ i
        v2 += v3 ^ i
        v3 += v4 ^ i
        v4 += v5 ^ i
        v5 += v6 ^ i
        v6 += v7 ^ i
        v7 += v8 ^ i
        v8 += v9 ^ i
        v9 += v10 ^ i
        v10 += v11 ^ i
        v11 += v12 ^ i
        v12 += v13 ^ i
        v13 += v14 ^ i
        v14 += v15 ^ i
        v15 += v16 ^ i
        v16 += v17 ^ i
        v17 += v18 ^ i
        v18 += v19 ^ i
        v19 += v20 ^ i
        v20 += v21 ^ i
        v21 += v22 ^ i
        v22 += v23 ^ i
        v23 += v0 ^ i
    return (
        v0
        ^ v1
        ^ v2
        ^ v3
        ^ v4
        ^ v5
        ^ v6
        ^ v7
        ^ v8
        ^ v9
        ^ v10
        ^ v11
        ^ v12
        ^ v13
        ^ v14
        ^ v15
        ^ v16
        ^ v17
        ^ v18
        ^ v19
        ^ v20
        ^ v21
        ^ v22
        ^ v23
    )


@njit
def scale(scaled, matrix, n, rounds):
    for _ in range(rounds):
        for i in range(n):
            for j in range(n):
                scaled[i * n + j] = matrix[i * n + j] * 10


@njit
def sieve(composite, n):
    count = 0
    for i in range(n):
        composite[i] = 0
    for i in range(2, n):
        if composite[i]:
            continue
        count += 1
        k = i * i
        while k < n:
            composite[k] = 1
            k += i
    return count


@njit
def times(result, v, n):
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += v[j] / ((i + j) * (i + j + 1) // 2 + i + 1)
        result[i] = total


@njit
def times_transposed(result, v, n):
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += v[j] / ((i + j) * (i + j + 1) // 2 + j + 1)
        result[i] = total


@njit
def spectral_norm(u, v, w, n):
    for i in range(n):
        u[i] = 1.0
    for _ in range(10):
        times(w, u, n)
        times_transposed(v, w, n)
        times(w, v, n)
        times_transposed(u, w, n)
    uv = vv = 0.0
    for i in range(n):
        uv += u[i] * v[i]
        vv += v[i] * v[i]
    return math.sqrt(uv / vv)


@njit
def squares(n):
    total = 0
    for i in range(n):
        total += i * i % 7
    return total


@njit
def string_search(text, n, word, m):
    found = 0
    for i in range(n - m + 1):
        k = 0
        while k < m and text[i + k] == word[k]:
            k += 1
        if k == m:
            found += 1
    return found

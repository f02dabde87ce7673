/* How many bytes of a C program are code, text in quotes and comment: a machine of seven states. */
#include <stdint.h>

enum { CODE, SLASH, LINE, BLOCK, STAR, QUOTED, ESCAPED };

void branches(int64_t *counts, const uint8_t *text, int64_t n) {
    int64_t code = 0, quoted = 0, comment = 0;
    int32_t state = CODE;
    for (int64_t i = 0; i < n; i++) {
        int32_t c = text[i];
        switch (state) {
        case CODE:
            if (c == '/')
                state = SLASH;
            else if (c == '"')
                state = QUOTED;
            else
                code++;
            break;
        case SLASH:
            if (c == '/')
                state = LINE;
            else if (c == '*')
                state = BLOCK;
            else {
                code += 2;
                state = CODE;
            }
            break;
        case LINE:
            if (c == '\n')
                state = CODE;
            else
                comment++;
            break;
        case BLOCK:
            if (c == '*')
                state = STAR;
            else
                comment++;
            break;
        case STAR:
            if (c == '/')
                state = CODE;
            else if (c != '*') {
                comment++;
                state = BLOCK;
            }
            break;
        case QUOTED:
            if (c == '\\')
                state = ESCAPED;
            else if (c == '"')
                state = CODE;
            else
                quoted++;
            break;
        case ESCAPED:
            quoted++;
            state = QUOTED;
            break;
        }
    }
    counts[0] = code;
    counts[1] = quoted;
    counts[2] = comment;
}

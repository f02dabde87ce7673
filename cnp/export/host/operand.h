/* What an op expects where: a row of the op table as the builder reads it. */
enum operand_name {
    D_OPERAND, A_OPERAND, B_OPERAND, C_OPERAND, BASE_OPERAND, VALUE_OPERAND, CONDITION_OPERAND, INDEX_OPERAND, ARGUMENT_OPERAND,
    OFFSET_OPERAND, LABEL_OPERAND,
    FIRST_OTHER_OPERAND = OFFSET_OPERAND /* the ones in front of it are registers, or constants except for d */
};
enum { MOST_OPERANDS = 65535 /* of an op: its word has 16 bits for their number */ };
struct operand {
    u8 name, type; /* CNP_VOID where any will do, or where there is none */
};
struct operation {
    const char *name; /* NULL: users cannot have it */
    u8 n;
    struct operand operand[4];
};

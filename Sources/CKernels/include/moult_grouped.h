#ifndef MOULT_GROUPED_H
#define MOULT_GROUPED_H

#include <stdbool.h>
#include <stdint.h>

#include "moult_types.h"

// Weights (outputs, inputs) of small integers, inputs a multiple of 32. A group, 32 consecutive inputs of one output, has
// a scale. The bytes lie in the order in which a product reads them, once, front to back:
//
//     weight      tile rows of 16 outputs, one after the other; the last is filled up with zero bytes
//     tile row    q4: 16 float32 row scales;  then pairs of groups, the last of one group if inputs / 32 is odd
//     pair        64 bytes of scales, then the codes of its groups, each 256 bytes (q4) or 512 (q8)
//     scales      q8: 16 float16 for the first group, 16 for the second
//                 q4: 16 bytes of scales and 16 of zeros for the first group, the same for the second
//     codes       lines of 64 bytes; byte 4 o + i is output o (of 16), input i of a quad: 4 consecutive inputs
//                 q8: line j holds quad j of the group's 8
//                 q4: line j of 4 holds quad j in the low halves of its bytes and quad j + 4 in the high halves
//
//     q8   weight = scale · (code - 128)                         8.5 bits
//     q4   weight = row scale · scale · (code - zero / 16)       4.5 bits, and 32 bits an output
//
// Every line of scales and of codes is a 64-byte line of the weight; a weight that starts on one is read line by line.

enum { moult_tile_outputs = 16, moult_group_inputs = 32, moult_line_bytes = 64 };

static inline bool moult_is_grouped(enum moult_type type) { return type == moult_q8 || type == moult_q4; }

/// Bytes of the codes of one group of a tile row.
static inline int64_t moult_code_bytes(enum moult_type type) { return type == moult_q4 ? 256 : 512; }

/// Bytes of a tile row before its first pair.
static inline int64_t moult_row_scale_bytes(enum moult_type type) { return type == moult_q4 ? 64 : 0; }

/// Where the scales of `group` begin within a tile row. Its zeros, in q4, follow 16 bytes later.
static inline int64_t moult_scale_offset(enum moult_type type, int64_t group) {
    const int64_t pair = moult_line_bytes + 2 * moult_code_bytes(type);
    return moult_row_scale_bytes(type) + group / 2 * pair + group % 2 * 32;
}

/// Where the codes of `group` begin within a tile row.
static inline int64_t moult_code_offset(enum moult_type type, int64_t group) {
    return moult_scale_offset(type, group / 2 * 2) + moult_line_bytes + group % 2 * moult_code_bytes(type);
}

static inline int64_t moult_tile_row_bytes(enum moult_type type, int64_t inputs) {
    const int64_t groups = inputs / moult_group_inputs;
    return moult_row_scale_bytes(type) + (groups + 1) / 2 * moult_line_bytes + groups * moult_code_bytes(type);
}

static inline int64_t moult_tile_rows(int64_t outputs) {
    return outputs / moult_tile_outputs + (outputs % moult_tile_outputs != 0);
}

/// Bytes of a weight of any type. The caller has made sure that outputs, rounded up to 16, times inputs times 4 fits.
static inline int64_t moult_weight_bytes(enum moult_type type, int64_t outputs, int64_t inputs) {
    if (moult_is_grouped(type)) return moult_tile_rows(outputs) * moult_tile_row_bytes(type, inputs);
    return outputs * inputs * (type == moult_float32 ? 4 : 2);
}

/// out (outputs, inputs) = the numbers that a grouped weight stands for.
void moult_widen_grouped(const void *weight, enum moult_type type, int64_t outputs, int64_t inputs, float *out);

#endif

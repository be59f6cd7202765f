/* What is exported of vectors.h and draw.h. */
#include "export.h"
#include "draw.h"

enum { MOST_INPUTS = 4096 };

/* sums[n] += x[n] @ levels, of rows of int8. */
EXPORT(byte_products)
void byte_products(const int8_t *levels, const int32_t *offset, int64_t inputs, int64_t outputs, const int8_t *x,
                   int64_t rows, int32_t *sums) {
    int8_t prepared[4 * PREPARED * MOST_INPUTS] ALIGNED;
    const Matrix m = {(int)inputs, (int)outputs, levels, offset};
    for (int64_t n = 0; n < rows;) {
        int lanes = rows - n >= 4 ? 4 : 1;
        for (int lane = 0; lane < lanes; lane++)
            for (int i = 0; i < inputs; i += ROW)
                prepare(prepared + lane * PREPARED * inputs, (int)inputs, i, row_load(x + (n + lane) * inputs + i));
        int32_t *to = sums + n * outputs;
        if (lanes == 4)
            product(&m, to, (int)outputs, prepared, to, 4, 0);
        else
            product(&m, to, (int)outputs, prepared, to, 1, 0);
        n += lanes;
    }
}

/* Rows of numbers [rows][inputs] as bytes [rows][padded], 127 levels to the largest; ``units`` are NaN if one is not finite. */
EXPORT(rounded_rows)
void rounded_rows(const float *x, int64_t rows, int64_t inputs, int64_t padded, int8_t *bytes, float *units) {
    for (int64_t n = 0; n < rows; n++, x += inputs, bytes += padded) {
        float most = 0.0f;
        for (int64_t i = 0; i < inputs; i++) {
            float size = x[i] < 0.0f ? -x[i] : x[i];
            most = size > most || size != size ? size : most;
        }
        const float inverse = most > 1e-30f && most < __builtin_inff() ? 127.0f / most : 0.0f;
        for (int64_t i = 0; i < inputs; i++) bytes[i] = inverse > 0 ? (int8_t)((int32_t)(x[i] * inverse + 128.5f) - 128) : 0;
        units[n] = most < __builtin_inff() ? most / 127.0f : __builtin_nanf("");
    }
}

/* One symbol for each row of logits [rows][count], at successive positions. */
EXPORT(draw_symbols)
void draw_symbols(const int32_t *logits, int64_t rows, int64_t count, int64_t inverse, int64_t least, int64_t seed,
                  int64_t position, uint8_t *symbols) {
    for (int64_t n = 0; n < rows; n++) {
        uint32_t u = noise((uint64_t)seed, (uint64_t)(position + n));
        symbols[n] = (uint8_t)draw(logits + n * count, (int)count, (int32_t)inverse, (int32_t)least, u);
    }
}

/* Products and functions of whole arrays of floats, for what runs once a request. */
#include "export.h"
#include "floats.h"

/* sums[n] += x[n * stride ...][:inputs] @ weights; windows may overlap. */
EXPORT(float_products)
void float_products(const float *x, int64_t stride, int64_t rows, const float *weights, int64_t inputs, int64_t outputs,
                    float *sums) {
    add_float_products(x, stride, weights, (int)inputs, (int)outputs, sums, rows);
}

EXPORT(sigmoids) void sigmoids(float *x, int64_t count) {
    for (int64_t i = 0; i < count; i++) x[i] = sigmoid_of(x[i]);
}

EXPORT(exponentials) void exponentials(double *x, int64_t count) {
    for (int64_t i = 0; i < count; i++) x[i] = exp_of(x[i]);
}

/* The nearest integers of z [rows][columns] + bias, limited to 2^29, + add. */
EXPORT(rounded_biases)
void rounded_biases(const float *z, const float *bias, const int32_t *add, int64_t rows, int64_t columns, int32_t *out) {
    const float most = 536870912.0f;
    for (int64_t n = 0; n < rows; n++, z += columns, out += columns)
        for (int64_t j = 0; j < columns; j++) {
            float x = z[j] + bias[j];
            x = x > -most ? x : -most; /* so is what is not a number */
            x = x < most ? x : most;
            out[j] = (int32_t)(x + (x < 0.0f ? -0.5f : 0.5f)) + add[j];
        }
}

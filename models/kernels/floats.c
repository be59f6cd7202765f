/* Products and functions of whole arrays of floats, for what runs once a request. */
#include "export.h"
#include "floats.h"

/* sums[n] += x[n * stride ...][:inputs] @ weights; windows may overlap. */
EXPORT(float_products)
void float_products(const float *x, int64_t stride, int64_t rows, const float *weights, int64_t inputs, int64_t outputs,
                    float *sums) {
    int64_t n = 0;
    for (; n + 4 <= rows; n += 4)
        float_rows(x + n * stride, stride, weights, (int)inputs, (int)outputs, sums + n * outputs, outputs, 4);
    for (; n < rows; n++)
        float_rows(x + n * stride, stride, weights, (int)inputs, (int)outputs, sums + n * outputs, outputs, 1);
}

EXPORT(sigmoids) void sigmoids(float *x, int64_t count) {
    for (int64_t i = 0; i < count; i++) x[i] = sigmoid_of(x[i]);
}

EXPORT(exponentials) void exponentials(double *x, int64_t count) {
    for (int64_t i = 0; i < count; i++) x[i] = exp_of(x[i]);
}

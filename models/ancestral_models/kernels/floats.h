/* Floating-point numbers with the same bits everywhere: every product and sum is rounded by itself (-ffp-contract=off),
   sums have a fixed order, and no function is the C library's. */
#pragma once
#include "vectors.h"
#if defined(__wasm__)
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t bytes), *memset(void *to, int byte, size_t bytes); /* instructions there */
#else
#include <string.h>
#endif

/* Floats side by side: as many as a register has, because compilers make nothing good of more. */
#if defined(__AVX512F__) && !defined(PORTABLE)
enum { LANE = 16 };
#elif defined(__AVX__) && !defined(PORTABLE)
enum { LANE = 8 };
#else
enum { LANE = 4 };
#endif
typedef float Floats __attribute__((vector_size(4 * LANE), aligned(4), may_alias));

/* tanh as a rational function (the minimax coefficients that Eigen uses), a few units of the last place from exact:
   what is divided is written to ``over``, what divides it is returned. */
INLINE float tanh_parts(float x, float *over) {
    const float limit = 7.90531110763549805f;
    x = x < -limit ? -limit : x > limit ? limit : x;
    float y = x * x, p = -2.76076847742355e-16f;
    p = p * y + 2.00018790482477e-13f;
    p = p * y + -8.60467152213735e-11f;
    p = p * y + 5.12229709037114e-08f;
    p = p * y + 1.48572235717979e-05f;
    p = p * y + 6.37261928875436e-04f;
    p = p * y + 4.89352455891786e-03f;
    float q = 1.19825839466702e-06f;
    q = q * y + 1.18534705686654e-04f;
    q = q * y + 2.26843463243900e-03f;
    q = q * y + 4.89352518554385e-03f;
    *over = x * p;
    return q;
}
INLINE float tanh_of(float x) {
    float over, under = tanh_parts(x, &over);
    return over / under;
}

INLINE float sigmoid_of(float x) { return 0.5f + 0.5f * tanh_of(0.5f * x); }

/* exp of a double within two units of the last place (Cephes' rational function); beyond 700 it is that of 700. */
INLINE double exp_of(double x) {
    x = x < -700.0 ? -700.0 : x > 700.0 ? 700.0 : x;
    const double rounding = 1.5 * 4503599627370496.0; /* leaves the nearest integer in the lowest bits of a sum */
    double shifted = x * 1.4426950408889634074 + rounding, power = shifted - rounding;
    double r = (x - power * 6.93145751953125e-1) - power * 1.42860682030941723212e-6, s = r * r;
    double p = r * ((1.26177193074810590878e-4 * s + 3.02994407707441961300e-2) * s + 9.99999999999999999910e-1);
    double q = ((3.00198505138664455042e-6 * s + 2.52448340349684104192e-3) * s + 2.27265548208155028766e-1) * s + 2.0;
    int64_t bits;
    memcpy(&bits, &shifted, 8);
    bits = (int64_t)((uint64_t)(bits + 1023) << 52);
    memcpy(&r, &bits, 8);
    return (1.0 + 2.0 * (p / (q - p))) * r;
}

/* The natural logarithm of a normal positive double, within two units of the last place. */
INLINE double log_of(double x) {
    int64_t bits;
    memcpy(&bits, &x, 8);
    int64_t power = (bits >> 52) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000;
    memcpy(&x, &bits, 8);
    if (x > 1.4142135623730951) x *= 0.5, power++;
    double s = (x - 1.0) / (x + 1.0), z = s * s, sum = 0.0; /* ln x = 2 artanh s, |s| < 0.18 */
    for (int n = 21; n > 1; n -= 2) sum = (sum + 1.0 / n) * z;
    double whole = (double)power;
    return whole * 6.93145751953125e-1 + (whole * 1.42860682030941723212e-6 + 2.0 * (s + s * sum));
}

/* A tile of sums of one or four rows, ``vectors`` of LANE outputs, in registers over all inputs. */
INLINE void float_tile(const float *x, int64_t stride, const float *w, int inputs, int outputs, float *sums,
                       int64_t sums_stride, int rows, int vectors) {
    Floats s[8];
    UNROLL for (int n = 0; n < rows; n++)
        UNROLL for (int v = 0; v < vectors; v++) s[n * vectors + v] = *(const Floats *)(sums + n * sums_stride + LANE * v);
    for (int i = 0; i < inputs; i++, w += outputs)
        UNROLL for (int n = 0; n < rows; n++)
            UNROLL for (int v = 0; v < vectors; v++)
                s[n * vectors + v] += x[n * stride + i] * *(const Floats *)(w + LANE * v);
    UNROLL for (int n = 0; n < rows; n++)
        UNROLL for (int v = 0; v < vectors; v++) *(Floats *)(sums + n * sums_stride + LANE * v) = s[n * vectors + v];
}

INLINE void float_inputs(const float *x, int64_t stride, const float *w, int inputs, int outputs, float *sums,
                         int64_t sums_stride, int rows) {
    int j = 0;
    for (; rows == 1 && outputs - j >= 4 * LANE; j += 4 * LANE)
        float_tile(x, stride, w + j, inputs, outputs, sums + j, sums_stride, rows, 4);
    for (; outputs - j >= 2 * LANE; j += 2 * LANE)
        float_tile(x, stride, w + j, inputs, outputs, sums + j, sums_stride, rows, 2);
    for (; outputs - j >= LANE; j += LANE) float_tile(x, stride, w + j, inputs, outputs, sums + j, sums_stride, rows, 1);
    for (; j < outputs; j++)
        for (int n = 0; n < rows; n++) {
            float sum = sums[n * sums_stride + j];
            for (int i = 0; i < inputs; i++) sum += x[n * stride + i] * w[(int64_t)i * outputs + j];
            sums[n * sums_stride + j] = sum;
        }
}

/* sums[n] += x[n] @ w [inputs][outputs], each number a chain of products and sums in the order of the inputs. Of a wide
   matrix a few lines are taken at a time, as they lie in memory: down its columns every line is a page of its own. */
INLINE void float_rows(const float *x, int64_t stride, const float *w, int inputs, int outputs, float *sums,
                       int64_t sums_stride, int rows) {
    const int most = outputs < 1024 ? inputs : 8;
    for (; inputs > most; inputs -= most, x += most, w += (int64_t)most * outputs)
        float_inputs(x, stride, w, most, outputs, sums, sums_stride, rows);
    float_inputs(x, stride, w, inputs, outputs, sums, sums_stride, rows);
}

/* The same of any number of rows, whose sums lie side by side; the rows of x may overlap. */
static inline void add_float_products(const float *x, int64_t stride, const float *w, int inputs, int outputs, float *sums,
                                     int64_t rows) {
    int64_t n = 0;
    for (; n + 4 <= rows; n += 4) float_rows(x + n * stride, stride, w, inputs, outputs, sums + n * outputs, outputs, 4);
    for (; n < rows; n++) float_rows(x + n * stride, stride, w, inputs, outputs, sums + n * outputs, outputs, 1);
}

/* What pixelcnn.c and pixelrnn.c share: products of activations, and the way from features to a symbol.

   Activations are single precision, or bytes. Of bytes the sums are integers, and what lies between two products is
   single precision that rounds everywhere alike (floats.h), so pictures are the same with all instructions. */
#pragma once
#include "draw.h"
#include "floats.h"

/* ---------------------------------------------------------------- memory */
typedef struct { /* a piece of memory that is handed out in parts; without memory it only counts */
    char *memory;
    int64_t used;
} Arena;
INLINE void *take(Arena *arena, int64_t bytes) {
    void *found = arena->memory ? arena->memory + arena->used : 0;
    arena->used += (bytes + 127) / 64 * 64; /* rows of bytes are read in whole */
    return found;
}
INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---------------------------------------------------------------- products */
typedef struct {
    int bytes;         /* whether activations are bytes */
    int8_t *rounded;   /* of numbers: rows of bytes */
    float *units;      /* of each of them */
    int8_t *prepared;
    int32_t *zeros, *totals;
} Products;

/* For products of at most so many rows, bytes and outputs. */
INLINE Products products(Arena *arena, int bytes, int64_t rows, int64_t span, int64_t outputs) {
    if (!bytes) return (Products){0, 0, 0, 0, 0, 0};
    Products p = {1, take(arena, span), take(arena, 4 * rows), take(arena, PREPARED * (span + ROW)), 0, 0};
    p.zeros = take(arena, 4 * outputs);
    p.totals = take(arena, 16 * outputs);
    if (arena->memory) memset(p.zeros, 0, (size_t)(4 * outputs));
    return p;
}
INLINE int64_t matrix_size(const Products *p, int inputs, int outputs) {
    return p->bytes ? (int64_t)inputs / 4 * outputs + 2 * outputs : (int64_t)inputs * outputs;
}

/* sums[n] += units[n] * scales * (x[n * stride ...] @ levels), of a matrix as layouts pack it: the scales of its outputs,
   the offsets of vectors.h, the levels. Windows may overlap. */
static void add_byte_products(const Products *p, const int8_t *x, int64_t stride, const float *matrix, int inputs,
                              int outputs, float *sums, int count, const float *units) {
    const Matrix m = {inputs, outputs, (const int8_t *)(matrix + 2 * outputs), (const int32_t *)(matrix + outputs)};
    int64_t span = ((count - 1) * stride + inputs + ROW - 1) / ROW * ROW;
    for (int64_t i = 0; i < span; i += ROW) prepare(p->prepared, (int)span, (int)i, row_load(x + i));
    for (int n = 0, rows; n < count; n += rows) {
        const int8_t *from = p->prepared + n * stride;
        rows = count - n >= 4 ? 4 : count - n >= 2 ? 2 : 1;
        if (rows == 4)
            window_product(&m, p->zeros, 0, from, stride, span, p->totals, 4, 0);
        else if (rows == 2)
            window_product(&m, p->zeros, 0, from, stride, span, p->totals, 2, 0);
        else
            window_product(&m, p->zeros, 0, from, stride, span, p->totals, 1, 0);
        for (int r = 0; r < rows; r++) {
            float unit = units ? units[n + r] : 1.0f, *sum = sums + (int64_t)(n + r) * outputs;
            const int32_t *total = p->totals + r * outputs;
            for (int j = 0; j < outputs; j++) sum[j] += (float)total[j] * (matrix[j] * unit);
        }
    }
}

/* The nearest integer of a number below 2^22; of two the even one. */
INLINE int32_t nearest(float x) {
    int32_t bits;
    x += 12582912.0f;
    memcpy(&bits, &x, 4);
    return (int32_t)((uint32_t)bits - 0x4B400000u);
}
/* Numbers as bytes in a unit of which the largest is 127; returns the unit. */
static float round_to_bytes(const float *restrict x, int size, int8_t *restrict out) {
    int32_t largest = 0; /* of floats without a sign the bits have the same order */
    for (int j = 0; j < size; j++) {
        int32_t bits;
        memcpy(&bits, x + j, 4);
        bits &= 0x7FFFFFFF;
        largest = bits > largest ? bits : largest;
    }
    float most;
    memcpy(&most, &largest, 4);
    float inverse = most > 1e-30f ? 127.0f / most : 0.0f;
    for (int j = 0; j < size; j++) out[j] = (int8_t)nearest(x[j] * inverse);
    return most / 127.0f;
}
static void round_rows(const Products *p, const float *x, int64_t stride, int inputs, int padded, int count) {
    for (int n = 0; n < count; n++) {
        int8_t *row = p->rounded + (int64_t)n * padded;
        p->units[n] = round_to_bytes(x + n * stride, inputs, row);
        for (int i = inputs; i < padded; i++) row[i] = 0;
    }
}

/* sums[n] += x[n * stride ...] @ w, where bytes of every window are rounded for itself; returns the end of the matrix. */
static const float *of_numbers(const Products *p, const float *x, int64_t stride, const float *w, int inputs, int outputs,
                               float *sums, int count) {
    if (p->bytes) {
        round_rows(p, x, stride, inputs, inputs, count);
        add_byte_products(p, p->rounded, inputs, w, inputs, outputs, sums, count, p->units);
    } else
        add_float_products(x, stride, w, inputs, outputs, sums, count);
    return w + matrix_size(p, inputs, outputs);
}

/* ---------------------------------------------------------------- rows of numbers */
INLINE void copy(const float *x, float *out, int size) {
    for (int j = 0; j < size; j++) out[j] = x[j];
}
INLINE void add(const float *x, float *out, int size) {
    for (int j = 0; j < size; j++) out[j] += x[j];
}
INLINE void rectify(const float *x, float *out, int size) {
    for (int j = 0; j < size; j++) out[j] = x[j] > 0.0f ? x[j] : 0.0f;
}

/* ---------------------------------------------------------------- from the inputs of the skips to a symbol */
typedef struct {
    float *skips, *hidden; /* [lanes][channels * features], rectified */
    float *sums;           /* [lanes][features] of the channel */
    float *logits;         /* [lanes][padded] */
    double *cumulative;    /* [levels] */
    int features, channels, levels, padded, fine;
} Head;
INLINE Head head_of(Arena *arena, int lanes, int features, int channels, int levels, int padded, int fine) {
    int64_t all = 4 * (int64_t)lanes * channels * features;
    Head h = {take(arena, all), take(arena, all), take(arena, 4 * (int64_t)lanes * features),
              take(arena, 4 * (int64_t)lanes * padded), take(arena, 8 * (int64_t)levels),
              features, channels, levels, padded, fine};
    return h;
}
/* The logits of channel c from the sums of its skips; returns the end of the weights. A fine output has a second matrix,
   of what rounding took from the first. */
static const float *logits_of(const Products *p, const Head *h, const float *w, int c, int lanes) {
    int features = h->features, seen = (c + 1) * features, wide = h->channels * features;
    for (int lane = 0; lane < lanes; lane++) {
        rectify(h->sums + lane * features, h->skips + lane * wide + c * features, features);
        copy(w, h->sums + lane * features, features);
    }
    w = of_numbers(p, h->skips, wide, w + features, seen, features, h->sums, lanes);
    for (int lane = 0; lane < lanes; lane++) {
        rectify(h->sums + lane * features, h->hidden + lane * wide + c * features, features);
        copy(w, h->logits + lane * h->padded, h->padded);
    }
    w = of_numbers(p, h->hidden, wide, w + h->padded, seen, h->padded, h->logits, lanes);
    if (h->fine) w = of_numbers(p, h->hidden, wide, w, seen, h->padded, h->logits, lanes);
    return w;
}

typedef struct { /* what a row is conditioned on: h of all pixels, or of each its own */
    const float *numbers;
    int width, count;
} Condition;

/* What a call does: every lane goes on by ``steps`` rows. */
typedef struct {
    int lanes, steps, width, channels, reach_count;
    const int64_t *seeds;
    const double *temperatures;
    const float *guidances;
    const uint8_t *unconditional; /* whether a lane is the unconditional pass of the one before */
    const int64_t *noise_index;   /* [lanes][steps][width], in pixels; -1 for a pixel that is given */
    uint8_t *symbols;             /* [lanes][steps][width][channels] */
    double *likelihoods;          /* likewise, or NULL */
    const int64_t *reaches;
    double *intervals; /* [lanes][steps][width][channels][reach_count][2], or NULL */
} Run;

/* Cumulative sums of exp((logit - largest) / temperature); returns the largest logit. Double precision, so that an
   engine whose logits differ by rounding disagrees where noise lies within that rounding of a boundary, and only there. */
static float accumulate(const float *logits, double temperature, double *cumulative, int levels) {
    float top = logits[0];
    for (int j = 1; j < levels; j++) top = logits[j] > top ? logits[j] : top;
    for (int j = 0; j < levels; j++) cumulative[j] = exp_of(((double)logits[j] - (double)top) / temperature);
    for (int first = 0; first < levels; first += 16) /* the sums of one block do not wait for those of another */
        for (int j = first + 1; j < first + 16 && j < levels; j++) cumulative[j] += cumulative[j - 1];
    for (int first = 16; first < levels; first += 16)
        for (int j = first; j < first + 16 && j < levels; j++) cumulative[j] += cumulative[first - 1];
    return top;
}
INLINE int most_likely(const float *logits, int levels) {
    int best = 0;
    for (int j = 1; j < levels; j++) best = logits[j] > logits[best] ? j : best;
    return best;
}
/* The first symbol whose cumulative probability exceeds the noise; at temperature 0 the most likely one. */
INLINE int draw_float(const float *logits, double temperature, double noise, double *cumulative, int levels) {
    if (temperature == 0.0) return most_likely(logits, levels);
    accumulate(logits, temperature, cumulative, levels);
    double target = noise * cumulative[levels - 1];
    int symbol = 0;
    for (int j = 0; j < levels - 1; j++) symbol += cumulative[j] <= target;
    return symbol;
}
/* The noise that draw_float takes to one of the symbols first ... last: at least found[0] and below found[1], both widened
   by 2^-48, which covers the rounding of their division. */
static void bounds(const float *logits, double temperature, int first, int last, double *cumulative, int levels,
                   double *found) {
    if (temperature == 0.0) {
        int best = most_likely(logits, levels);
        found[0] = 0.0, found[1] = first <= best && best <= last ? 1.0 : 0.0;
        return;
    }
    accumulate(logits, temperature, cumulative, levels);
    double whole = cumulative[levels - 1];
    double low = first > 0 ? cumulative[first - 1] / whole - 0x1p-48 : 0.0;
    double high = last < levels - 1 ? cumulative[last] / whole + 0x1p-48 : 1.0;
    found[0] = low > 0.0 ? low : 0.0, found[1] = high < 1.0 ? high : 1.0;
}
/* Classifier-free guidance: ``guide`` of ancestral_models/categorical.py. */
static void guide(float *logits, const float *free, float guidance, int levels) {
    float least = logits[0];
    for (int j = 1; j < levels; j++) least = logits[j] > least ? logits[j] : least;
    least = guidance > 1.0f ? least - 3.50655789731998f : -__builtin_inff(); /* ln 0.03 */
    for (int j = 0; j < levels; j++) {
        float guided = free[j] + guidance * (logits[j] - free[j]);
        logits[j] = logits[j] >= least ? guided : -__builtin_inff();
    }
}
/* The symbol of a sub-pixel, below ``levels`` whatever was given. */
INLINE int symbol_of(const Run *run, const Head *h, int lane, int t, int x, int c) {
    int symbol = run->symbols[(((int64_t)lane * run->steps + t) * run->width + x) * run->channels + c];
    return symbol < h->levels ? symbol : 0;
}
/* The symbol of one sub-pixel of every lane, given or drawn; where they are wanted its likelihood and its noise. */
static void take_symbols(const Run *run, const Head *h, int t, int x, int c) {
    int levels = h->levels;
    for (int lane = 1; lane < run->lanes; lane++)
        if (run->unconditional[lane])
            guide(h->logits + (lane - 1) * h->padded, h->logits + lane * h->padded, run->guidances[lane - 1], levels);
    int64_t before = 0;
    for (int lane = 0; lane < run->lanes; lane++) {
        const float *logits = h->logits + lane * h->padded;
        int64_t pixel = ((int64_t)lane * run->steps + t) * run->width + x, at = pixel * run->channels + c;
        int64_t index = run->noise_index[pixel];
        if (run->unconditional[lane])
            run->symbols[at] = run->symbols[before];
        else if (index >= 0) {
            double noise = uniform((uint64_t)run->seeds[lane], (uint64_t)(index * run->channels + c));
            run->symbols[at] = (uint8_t)draw_float(logits, run->temperatures[lane], noise, h->cumulative, levels);
        }
        before = at;
        int symbol = symbol_of(run, h, lane, t, x, c);
        if (run->likelihoods) {
            float top = accumulate(logits, 1.0, h->cumulative, levels);
            run->likelihoods[at] = (double)logits[symbol] - (double)top - log_of(h->cumulative[levels - 1]);
        }
        if (run->intervals && !run->unconditional[lane])
            for (int k = 0; k < run->reach_count; k++) {
                int64_t first = larger(symbol - run->reaches[k], 0), last = symbol + run->reaches[k];
                bounds(logits, run->temperatures[lane], (int)first, (int)(last < levels ? last : levels - 1), h->cumulative,
                       levels, run->intervals + 2 * (at * run->reach_count + k));
            }
    }
}

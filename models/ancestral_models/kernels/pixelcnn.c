/* Samples or scores a PixelCNN with cached activations (after Ramachandran et al. 2017).

   What a row of pixels needs of the rows above is computed once, for the whole row; then every pixel costs its own
   features only, channel by channel: weights that the masks of networks/pixelcnn.py set to zero are not stored. Weights
   are read from front to back, as pixelcnn.py packs them; functions return where they end. */
#include "export.h"
#include "images.h"

typedef struct { /* PixelCNNLayout.sizes: ``each`` and ``outputs`` are features of one channel */
    int gated, layers, width, channels, planes, levels, padded, features, each, outputs, first, reach, inner, bytes, fine;
} Sizes;
typedef struct {
    Products p;
    Head head;
    float *vertical; /* [W][2 * features] */
    float *biases;   /* [W] of a layer, of both stacks */
    float *base;     /* [lanes] of base_size: what the pixels of a row see of the rows above */
    float *beside;   /* gated: [lanes][layers - 1][reach + W][channels * each], the row so far; else one lane's window */
    float *sums, *passed, *window;
    void *inner; /* outputs of gates or convolutions, by layer first */
    void *out;   /* inputs of the skips, by channel first in the gated network */
} Buffers;

/* Original: numbers of a channel in the stream between the blocks. */
INLINE int stream_of(const Sizes *s) { return (2 * s->features + s->channels - 1) / s->channels; }
INLINE int padded_inner(const Sizes *s) { return s->bytes ? (s->inner + 3) / 4 * 4 : s->inner; }
INLINE int cell(const Sizes *s) { return s->bytes ? 1 : 4; }
INLINE void *at(const Sizes *s, const void *activations, int64_t index) { return (char *)activations + index * cell(s); }
INLINE int64_t base_size(const Sizes *s) {
    int64_t own = s->channels * s->each;
    return s->width * (s->gated ? s->layers * 2 * own : s->channels * stream_of(s) + (s->layers - 1) * own);
}
INLINE int64_t beside_size(const Sizes *s) {
    int64_t own = s->channels * s->each;
    return s->gated ? (s->layers - 1) * (s->reach + s->width) * own : (s->reach + 1) * own;
}
/* Of one row above, with its margins. */
INLINE int64_t line_size(const Sizes *s) {
    return (int64_t)(s->width + 2 * s->reach) * (s->gated ? s->features : s->channels * s->each);
}
/* Where a layer keeps the row that is ``dy`` of the next one's ``reach + 1`` rows. */
INLINE int64_t line_of(const Sizes *s, int layer, int64_t dy) {
    return ((int64_t)layer * (s->reach + 1) + dy % (s->reach + 1)) * line_size(s);
}

/* tanh(a) * sigmoid(b) with one division; see tanh_of. */
INLINE float gated(float a, float b) {
    float over_a, over_b, under_a = tanh_parts(a, &over_a), under_b = tanh_parts(0.5f * b, &over_b);
    return over_a * (0.5f * over_b + 0.5f * under_b) / (under_a * under_b);
}
/* The outputs of gates, as activations. */
static void gate(const Products *p, const float *restrict a, const float *restrict b, void *restrict out, int size) {
    int8_t *bytes = out;
    float *numbers = out;
    if (p->bytes)
        for (int j = 0; j < size; j++) bytes[j] = (int8_t)nearest(gated(a[j], b[j]) * 127.0f);
    else
        for (int j = 0; j < size; j++) numbers[j] = gated(a[j], b[j]);
}

/* sums[n] += x[n * stride ...] @ w of activations; returns the end of the matrix. */
static const float *of_gates(const Products *p, const void *x, int64_t stride, const float *w, int inputs, int outputs,
                             float *sums, int count) {
    if (p->bytes)
        add_byte_products(p, x, stride, w, inputs, outputs, sums, count, 0);
    else
        add_float_products(x, stride, w, inputs, outputs, sums, count);
    return w + matrix_size(p, inputs, outputs);
}
static Buffers buffers(const Sizes *s, int lanes, Arena *a) {
    int64_t own = s->channels * s->each, inputs = s->channels * s->planes, all = (int64_t)s->channels * s->outputs;
    int64_t gates = 2 * own + 2 * s->features, stream = stream_of(s), deep = s->layers * own;
    int64_t rows = larger(s->width, lanes), most = larger(larger(2 * s->features, (s->reach + 1) * own), larger(all, padded_inner(s)));
    int64_t span = larger(rows * most, larger(lanes * deep, line_size(s)));
    int64_t floats = lanes * (s->gated ? 0 : s->layers * s->channels * stream);
    Buffers b;
    b.p = products(a, s->bytes, rows, span, larger(gates, larger(s->outputs, s->padded)));
    b.head = head_of(a, lanes, s->outputs, s->channels, s->levels, s->padded, s->fine);
    b.vertical = take(a, 8 * s->width * s->features);
    b.biases = take(a, 4 * s->width * gates);
    b.base = take(a, 4 * lanes * base_size(s));
    b.beside = take(a, 4 * lanes * beside_size(s));
    b.sums = take(a, 4 * lanes * larger(2 * s->each, stream));
    b.passed = take(a, 4 * lanes * s->each);
    b.window = take(a, 4 * lanes * (s->first + 1) * inputs);
    b.inner = take(a, cell(s) * lanes * deep);
    b.out = take(a, s->gated ? cell(s) * lanes * deep : 4 * floats);
    return b;
}

/* b + V h for the pixels of a row; b is followed by V. */
static const float *biases(const Sizes *s, const Products *p, const float *w, Condition condition, int outputs, float *out) {
    int inner = padded_inner(s);
    for (int x = 0; x < condition.count; x++) copy(w, out + (int64_t)x * outputs, outputs);
    w += outputs;
    if (!s->inner) return w;
    if (s->bytes) {
        round_rows(p, condition.numbers, condition.width, s->inner, inner, condition.count);
        add_byte_products(p, p->rounded, inner, w, inner, outputs, out, condition.count, p->units);
    } else
        add_float_products(condition.numbers, condition.width, w, inner, outputs, out, condition.count);
    return w + matrix_size(p, inner, outputs);
}

/* The vertical stack of a row; ``base`` gets its inputs to the horizontal stack, [layers][W][gates]. Where a condition
   goes on behind h, the rest is the coarse pixels' map for the first layer. */
static const float *row_gated(const Sizes *s, const Buffers *b, const float *w, const float *pixels, void *above,
                              Condition condition, int64_t row, float *base) {
    int inputs = s->channels * s->planes, window = (2 * s->first + 1) * inputs, both = 2 * s->features;
    int gates = 2 * s->channels * s->each, seen = (2 * s->reach + 1) * s->features;
    int64_t line = (int64_t)(s->width + 2 * s->first) * inputs;
    for (int layer = 0; layer < s->layers; layer++) {
        int last = layer == s->layers - 1, outputs = last ? gates : gates + both;
        memset(b->vertical, 0, (size_t)(4 * s->width * both));
        for (int dy = 0; layer == 0 && dy < s->first; dy++, w += window * both)
            add_float_products(pixels + (row + dy) * line, inputs, w, window, both, b->vertical, s->width);
        for (int dy = 0; layer > 0 && dy <= s->reach; dy++) {
            const void *above_it = at(s, above, line_of(s, layer - 1, row + 1 + dy));
            w = of_gates(&b->p, above_it, s->features, w, seen, both, b->vertical, s->width);
        }
        if (layer == 0 && condition.width > s->inner)
            for (int x = 0; x < s->width; x++)
                add(condition.numbers + x * condition.width + s->inner, b->vertical + x * both, both);
        w = biases(s, &b->p, w, condition, outputs, b->biases);
        float *target = base + (int64_t)layer * s->width * gates;
        for (int x = 0; x < s->width; x++)
            copy(b->biases + (condition.count > 1 ? x * outputs : 0), target + x * gates, gates);
        w = of_numbers(&b->p, b->vertical, both, w, both, gates, target, s->width);
        int64_t own = line_of(s, layer, row) + s->reach * s->features;
        for (int x = 0; !last && x < s->width; x++) {
            float *z = b->vertical + x * both;
            add(b->biases + (condition.count > 1 ? x * outputs : 0) + gates, z, both);
            gate(&b->p, z, z + s->features, at(s, above, own + x * s->features), s->features);
        }
    }
    return w;
}

/* The horizontal stack of one channel of a pixel, all lanes together, and the sums of its skips. */
static const float *pixel_gated(const Sizes *s, const Buffers *b, const float *w, int x, int c, int lanes) {
    int each = s->each, own = s->channels * each, seen = (c + 1) * each, deep = s->layers * own;
    int64_t line = (int64_t)(s->reach + s->width) * own;
    for (int layer = 0; layer < s->layers; layer++) {
        for (int lane = 0; lane < lanes; lane++) {
            const float *base = b->base + lane * base_size(s) + ((int64_t)layer * s->width + x) * 2 * own;
            copy(base + 2 * c * each, b->sums + lane * 2 * each, 2 * each);
        }
        if (layer == 0) {
            int size = (s->first * s->channels + c) * s->planes;
            add_float_products(b->window, (s->first + 1) * s->channels * s->planes, w, size, 2 * each, b->sums, lanes);
            w += size * 2 * each;
        } else
            w = of_numbers(&b->p, b->beside + (layer - 1) * line + (int64_t)x * own, beside_size(s), w,
                           s->reach * own + seen, 2 * each, b->sums, lanes);
        for (int lane = 0; lane < lanes; lane++) {
            const float *z = b->sums + lane * 2 * each;
            void *inner = at(s, b->inner, (int64_t)lane * deep + layer * own + c * each);
            gate(&b->p, z, z + each, inner, each);
            memcpy(at(s, b->out, (int64_t)lane * deep + (c * s->layers + layer) * each), inner, (size_t)(each * cell(s)));
        }
        if (layer == s->layers - 1) break;
        int64_t here = layer * line + (int64_t)(s->reach + x) * own + c * each;
        for (int lane = 0; lane < lanes; lane++) {
            copy(w, b->passed + lane * each, each);
            if (layer > 0) add(b->beside + lane * beside_size(s) + here - line, b->passed + lane * each, each);
        }
        w = of_gates(&b->p, at(s, b->inner, layer * own), deep, w + each, seen, each, b->passed, lanes);
        for (int lane = 0; lane < lanes; lane++)
            copy(b->passed + lane * each, b->beside + lane * beside_size(s) + here, each);
    }
    for (int lane = 0; lane < lanes; lane++) copy(w, b->head.sums + lane * s->outputs, s->outputs);
    return of_gates(&b->p, b->out, deep, w + s->outputs, seen * s->layers, s->outputs, b->head.sums, lanes);
}

/* The convolutions over the rows above; ``base`` gets [W] of the first, of the stream, then [blocks][W] of the others. */
static const float *row_original(const Sizes *s, const Buffers *b, const float *w, const float *pixels,
                                 const float *above, Condition condition, int64_t row, float *base) {
    int inputs = s->channels * s->planes, window = (2 * s->first + 1) * inputs, own = s->channels * s->each;
    int stream = s->channels * stream_of(s), seen = (2 * s->reach + 1) * own;
    int64_t line = (int64_t)(s->width + 2 * s->first) * inputs;
    for (int x = 0; x < s->width; x++) copy(w, base + x * stream, stream);
    w += stream;
    for (int dy = 0; dy < s->first; dy++, w += window * stream)
        add_float_products(pixels + (row + dy) * line, inputs, w, window, stream, base, s->width);
    for (int block = 0; block < s->layers - 1; block++) {
        float *onto = base + (int64_t)s->width * stream + (int64_t)block * s->width * own;
        w = biases(s, &b->p, w, condition, own, onto);
        for (int x = condition.count; x < s->width; x++) copy(onto, onto + x * own, own);
        for (int dy = 0; dy < s->reach; dy++, w += seen * own)
            add_float_products(above + line_of(s, block, row + 1 + dy), own, w, seen, own, onto, s->width);
    }
    return w;
}

/* All blocks of one channel of a pixel, all lanes together, and the sums of its skips. ``inner`` holds the outputs of the
   blocks' convolutions, ``out`` the blocks' inputs and behind them the last one's output, all rectified. */
static const float *pixel_original(const Sizes *s, const Buffers *b, const float *w, int x, int c, const int64_t *rows,
                                   float *above, int64_t above_size, int lanes) {
    int each = s->each, own = s->channels * each, both = stream_of(s), stream = s->channels * both;
    int deep = s->layers * own, wide = s->layers * stream, size = (s->first * s->channels + c) * s->planes;
    float *inner = b->inner, *out = b->out;
    for (int lane = 0; lane < lanes; lane++)
        copy(b->base + lane * base_size(s) + x * stream + c * both, b->sums + lane * both, both);
    add_float_products(b->window, (s->first + 1) * s->channels * s->planes, w, size, both, b->sums, lanes);
    w += size * both;
    for (int block = 0; block < s->layers - 1; block++) {
        for (int lane = 0; lane < lanes; lane++) {
            rectify(b->sums + lane * both, out + lane * wide + block * stream + c * both, both);
            copy(w, b->passed + lane * each, each);
        }
        add_float_products(out + block * stream, wide, w + each, (c + 1) * both, each, b->passed, lanes);
        w += each + (c + 1) * both * each;
        size = s->reach * own + (c + 1) * each;
        for (int lane = 0; lane < lanes; lane++) {
            float *line = above + lane * above_size + line_of(s, block, rows[lane]) + (int64_t)x * own;
            const float *base = b->base + lane * base_size(s) + (int64_t)s->width * stream;
            rectify(b->passed + lane * each, line + s->reach * own + c * each, each);
            copy(line, b->beside + lane * beside_size(s), size);
            copy(base + ((int64_t)block * s->width + x) * own + c * each, b->passed + lane * each, each);
        }
        add_float_products(b->beside, beside_size(s), w, size, each, b->passed, lanes);
        w += size * each;
        for (int lane = 0; lane < lanes; lane++) {
            rectify(b->passed + lane * each, inner + lane * deep + block * own + c * each, each);
            add(w, b->sums + lane * both, both);
        }
        add_float_products(inner + block * own, deep, w + both, (c + 1) * each, both, b->sums, lanes);
        w += both + (c + 1) * each * both;
    }
    for (int lane = 0; lane < lanes; lane++) {
        rectify(b->sums + lane * both, out + lane * wide + (s->layers - 1) * stream + c * both, both);
        copy(w, b->head.sums + lane * s->outputs, s->outputs);
    }
    add_float_products(out + (s->layers - 1) * stream, wide, w + s->outputs, (c + 1) * both, s->outputs, b->head.sums, lanes);
    return w + s->outputs + (c + 1) * both * s->outputs;
}

INLINE Sizes sizes_of(const int64_t *n) {
    Sizes s;
    int *fields = (int *)&s;
    for (int i = 0; i < (int)(sizeof(Sizes) / sizeof(int)); i++) fields[i] = (int)n[i];
    return s;
}

/* Bytes of scratch memory that pixelcnn_run needs. */
EXPORT(pixelcnn_scratch) int64_t pixelcnn_scratch(const int64_t *sizes, int64_t lanes) {
    Sizes s = sizes_of(sizes);
    Arena counted = {0, 0};
    buffers(&s, (int)lanes, &counted);
    return counted.used;
}

/* ``shape``: lanes, rows to go on by, rows and columns of a condition, reaches. States, conditions and what is drawn have
   an axis of lanes in front; see ImageKernel.run in ancestral_models/engines/images/native.py. */
EXPORT(pixelcnn_run)
void pixelcnn_run(const int64_t *sizes, const float *weights, const float *table, const int64_t *shape, float *pixels,
                  int64_t pixel_size, void *above, int64_t above_size, const float *conditions, int64_t *rows,
                  const int64_t *seeds, const double *temperatures, const float *guidances, const uint8_t *unconditional,
                  const int64_t *noise_index, uint8_t *symbols, double *likelihoods, const int64_t *reaches,
                  double *intervals, void *scratch) {
    Sizes s = sizes_of(sizes);
    int lanes = (int)shape[0], inputs = s.channels * s.planes, located = shape[2] > 1;
    const Run run = {lanes, (int)shape[1], s.width, s.channels, (int)shape[4], seeds, temperatures, guidances, unconditional,
                     noise_index, symbols, likelihoods, reaches, intervals};
    Arena arena = {scratch, 0};
    Buffers b = buffers(&s, lanes, &arena);
    int64_t line = (int64_t)(s.width + 2 * s.first) * inputs;
    memset(b.beside, 0, (size_t)(4 * lanes * beside_size(&s))); /* its margin stays */
    for (int t = 0; t < run.steps; t++) {
        const float *once = weights;
        for (int lane = 0; lane < lanes; lane++) {
            const float *h = conditions + lane * shape[2] * shape[3] + (located ? rows[lane] * s.width * shape[3] : 0);
            const Condition condition = {h, (int)shape[3], located ? s.width : 1};
            const float *seen = pixels + lane * pixel_size;
            float *base = b.base + lane * base_size(&s);
            if (s.gated)
                once = row_gated(&s, &b, weights, seen, at(&s, above, lane * above_size), condition, rows[lane], base);
            else
                once = row_original(&s, &b, weights, seen, (float *)above + lane * above_size, condition, rows[lane], base);
        }
        for (int x = 0; x < s.width; x++) {
            const float *w = once;
            for (int c = 0; c < s.channels; c++) {
                for (int lane = 0; lane < lanes; lane++)
                    copy(pixels + lane * pixel_size + (rows[lane] + s.first) * line + x * inputs,
                         b.window + lane * (s.first + 1) * inputs, s.first * inputs + c * s.planes);
                if (s.gated)
                    w = pixel_gated(&s, &b, w, x, c, lanes);
                else
                    w = pixel_original(&s, &b, w, x, c, rows, above, above_size, lanes);
                w = logits_of(&b.p, &b.head, w, c, lanes);
                take_symbols(&run, &b.head, t, x, c);
                for (int lane = 0; lane < lanes; lane++) {
                    float *own = pixels + lane * pixel_size + (rows[lane] + s.first) * line + (s.first + x) * inputs;
                    copy(table + symbol_of(&run, &b.head, lane, t, x, c) * s.planes, own + c * s.planes, s.planes);
                }
            }
        }
        for (int lane = 0; lane < lanes; lane++) rows[lane]++;
    }
}

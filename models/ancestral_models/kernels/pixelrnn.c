/* Samples or scores a PixelRNN: a pixel costs one step of each layer. In single precision.

   What a row of pixels needs of the rows above is computed once, for the whole row; so are the LSTMs that come from the
   right, once a row is complete. Then every pixel costs its own features only, channel by channel. Weights are read from
   front to back, as pixelrnn.py packs them; functions return where they end.

   The state of a picture: ``hidden``, the states of the row above and, left of the pixel, of its own row, with a margin on
   both sides; ``cells``, with a margin of one on the left; ``right``, the states that came from the right in the row
   above, with a margin of one on the right. A line for each layer. */
#include "export.h"
#include "images.h"

typedef struct { /* PixelRNNLayout.sizes: ``each``, ``wide`` and ``outputs`` are features of one channel */
    int diagonal, layers, width, columns, channels, levels, each, wide, outputs, first, half, skips;
} Sizes;
typedef struct {
    Head head;
    float *convolved; /* [lanes][columns][channels * wide] of the first convolution */
    float *base;      /* [lanes][layers][columns][gates]: what the gates of a row see of the rows above */
    float *streams;   /* [lanes][layers][left + columns][channels * wide]: the inputs of the layers in this row */
    float *shown;     /* [lanes][layers][channels * each]: the outputs of the layers */
    float *out;       /* [lanes][channels][run]: the inputs of the skips */
    float *flow, *gates, *window;
    float *sums, *cell; /* of the LSTMs from the right */
} Buffers;
typedef struct { /* a lane's part of the state */
    float *pixels, *hidden, *cells, *right;
} State;

INLINE int own_of(const Sizes *s) { return s->channels * s->each; }
INLINE int stream_of(const Sizes *s) { return s->channels * s->wide; }
INLINE int run_of(const Sizes *s) { return s->wide + s->skips * s->layers * s->each; }
INLINE int margin_of(const Sizes *s) { return s->diagonal ? 1 : s->half; }
INLINE int left_of(const Sizes *s) { return s->diagonal ? 0 : s->half; }
INLINE int64_t base_size(const Sizes *s) { return (int64_t)s->layers * s->columns * 4 * own_of(s); }
INLINE int64_t streams_size(const Sizes *s) { return (int64_t)s->layers * (left_of(s) + s->columns) * stream_of(s); }

static Buffers buffers(const Sizes *s, int lanes, Arena *a) {
    int64_t own = own_of(s), stream = stream_of(s);
    Buffers b;
    b.head = head_of(a, lanes, s->outputs, s->channels, s->levels, s->levels, 0);
    b.convolved = take(a, 4 * lanes * s->columns * stream);
    b.base = take(a, 4 * lanes * base_size(s));
    b.streams = take(a, 4 * lanes * streams_size(s));
    b.shown = take(a, 4 * lanes * s->layers * own);
    b.out = take(a, 4 * (int64_t)lanes * s->channels * run_of(s));
    b.flow = take(a, 4 * lanes * s->wide);
    b.gates = take(a, 16 * lanes * s->each);
    b.window = take(a, 4 * lanes * (s->first + 1) * s->channels);
    b.sums = take(a, 16 * s->columns * own);
    b.cell = take(a, 4 * own);
    return b;
}

/* The cells and states of one step; ``cells`` may be ``old``. */
static void lstm(const float *gates, const float *old, float *cells, float *states, int size) {
    const float *into = gates + size, *out = gates + 2 * size, *keep = gates + 3 * size;
    for (int j = 0; j < size; j++) {
        float cell = sigmoid_of(keep[j]) * old[j] + sigmoid_of(into[j]) * tanh_of(gates[j]);
        states[j] = sigmoid_of(out[j]) * tanh_of(cell);
        cells[j] = cell;
    }
}

/* b + V h for every pixel of a row; b is followed by V. */
static const float *biases(const float *w, Condition h, int outputs, float *out, int columns) {
    for (int x = 0; x < h.count; x++) copy(w, out + x * outputs, outputs);
    add_float_products(h.numbers, h.width, w + outputs, h.width, outputs, out, h.count);
    for (int x = h.count; x < columns; x++) copy(out, out + x * outputs, outputs);
    return w + outputs * (1 + h.width);
}

/* What a row sees of the rows above. */
static const float *row_above(const Sizes *s, const Buffers *b, const float *w, State state, Condition h, int64_t row,
                              int lane) {
    int own = own_of(s), stream = stream_of(s), gates = 4 * own, window = (2 * s->first + 1) * s->channels;
    int begin = s->diagonal ? own : 0, seen = s->diagonal ? own : (2 * s->half + 1) * own;
    int64_t line = (int64_t)(s->columns + 2 * s->first) * s->channels;
    float *convolved = b->convolved + (int64_t)lane * s->columns * stream, *base = b->base + lane * base_size(s);
    for (int x = 0; x < s->columns; x++) copy(w, convolved + x * stream, stream);
    w += stream;
    for (int dy = 0; dy < s->first; dy++, w += window * stream)
        add_float_products(state.pixels + (row + dy) * line, s->channels, w, window, stream, convolved, s->columns);
    for (int layer = 0; layer < s->layers; layer++, base += s->columns * gates) {
        const float *states = state.hidden + (int64_t)layer * (s->columns + 2 * margin_of(s)) * own + begin;
        w = biases(w, h, gates, base, s->columns);
        add_float_products(states, own, w, seen, gates, base, s->columns);
        w += seen * gates;
    }
    return w;
}

/* All layers of one channel of a pixel, all lanes together. */
static const float *pixel(const Sizes *s, const Buffers *b, const float *w, int x, int c, const State *states, int lanes,
                          int64_t hidden_size) {
    int each = s->each, wide = s->wide, own = own_of(s), stream = stream_of(s), size = s->first * s->channels + c;
    int run = run_of(s), deep = s->layers * own;
    for (int lane = 0; lane < lanes; lane++)
        copy(b->convolved + ((int64_t)lane * s->columns + x) * stream + c * wide, b->flow + lane * wide, wide);
    add_float_products(b->window, (s->first + 1) * s->channels, w, size, wide, b->flow, lanes);
    w += size * wide;
    for (int layer = 0; layer < s->layers; layer++) {
        int64_t here = ((int64_t)layer * (left_of(s) + s->columns) + left_of(s) + x) * stream;
        int64_t state = ((int64_t)layer * (s->columns + 2 * margin_of(s)) + margin_of(s) + x) * own;
        for (int lane = 0; lane < lanes; lane++) {
            const float *base = b->base + lane * base_size(s) + ((int64_t)layer * s->columns + x) * 4 * own;
            copy(b->flow + lane * wide, b->streams + lane * streams_size(s) + here + c * wide, wide);
            copy(base + 4 * c * each, b->gates + lane * 4 * each, 4 * each);
        }
        int beside = s->diagonal ? own : s->half * stream;
        if (s->diagonal)
            add_float_products(states[0].hidden + state - own, hidden_size, w, beside, 4 * each, b->gates, lanes);
        else
            add_float_products(b->streams + here - beside, streams_size(s), w, beside, 4 * each, b->gates, lanes);
        w += beside * 4 * each;
        add_float_products(b->streams + here, streams_size(s), w, (c + 1) * wide, 4 * each, b->gates, lanes);
        w += (c + 1) * wide * 4 * each;
        int64_t new = ((int64_t)layer * (s->columns + 1) + 1 + x) * own + c * each;
        for (int lane = 0; lane < lanes; lane++) {
            float *made = states[lane].hidden + state + c * each, *cells = states[lane].cells + new;
            float *shown = b->shown + lane * deep + layer * own + c * each;
            lstm(b->gates + lane * 4 * each, s->diagonal ? cells - own : cells, cells, made, each);
            copy(made, shown, each);
            if (s->diagonal) add(states[lane].right + new - own, shown, each);
            if (s->skips) copy(shown, b->out + ((int64_t)lane * s->channels + c) * run + wide + layer * each, each);
            add(w, b->flow + lane * wide, wide);
        }
        w += wide;
        add_float_products(b->shown + layer * own, deep, w, (c + 1) * each, wide, b->flow, lanes);
        w += (c + 1) * each * wide;
    }
    for (int lane = 0; lane < lanes; lane++)
        rectify(b->flow + lane * wide, b->out + ((int64_t)lane * s->channels + c) * run, wide);
    return w;
}

/* The LSTMs from the right of a complete row; ``right`` holds the states of the row above, and then its own. */
static void row_from_right(const Sizes *s, const Buffers *b, const float *w, Condition h, const float *streams, float *right) {
    int own = own_of(s), stream = stream_of(s), gates = 4 * own;
    for (int layer = 0; layer < s->layers; layer++) {
        float *states = right + (int64_t)layer * (s->columns + 1) * own;
        w = biases(w, h, gates, b->sums, s->columns);
        add_float_products(streams + (int64_t)layer * s->columns * stream, stream, w, stream, gates, b->sums, s->columns);
        w += stream * gates;
        add_float_products(states, own, w, own, gates, b->sums, s->columns);
        w += own * gates;
        memset(b->cell, 0, (size_t)(4 * own));
        for (int x = s->columns - 1; x >= 0; x--) {
            add_float_products(states + (x + 1) * own, own, w, own, gates, b->sums + x * gates, 1);
            for (int c = 0; c < s->channels; c++)
                lstm(b->sums + x * gates + 4 * c * s->each, b->cell + c * s->each, b->cell + c * s->each,
                     states + x * own + c * s->each, s->each);
        }
        w += own * gates;
    }
}

INLINE Sizes sizes_of(const int64_t *n) {
    Sizes s;
    int *fields = (int *)&s;
    for (int i = 0; i < (int)(sizeof(Sizes) / sizeof(int)); i++) fields[i] = (int)n[i];
    return s;
}

/* Bytes of scratch memory that pixelrnn_run needs. */
EXPORT(pixelrnn_scratch) int64_t pixelrnn_scratch(const int64_t *sizes, int64_t lanes) {
    Sizes s = sizes_of(sizes);
    Arena counted = {0, 0};
    buffers(&s, (int)lanes, &counted);
    take(&counted, lanes * (int64_t)sizeof(State));
    return counted.used;
}

/* As pixelcnn_run. After the sizes come where the weights of the head and those of the LSTMs from the right begin. */
EXPORT(pixelrnn_run)
void pixelrnn_run(const int64_t *sizes, const float *weights, const float *table, const int64_t *shape, float *pixels,
                  int64_t pixel_size, float *hidden, int64_t hidden_size, float *cells, int64_t cells_size, float *right,
                  int64_t right_size, const float *conditions, int64_t *rows, const int64_t *seeds,
                  const double *temperatures, const float *guidances, const uint8_t *unconditional,
                  const int64_t *noise_index, uint8_t *symbols, double *likelihoods, const int64_t *reaches,
                  double *intervals, void *scratch) {
    Sizes s = sizes_of(sizes);
    const int64_t *begin = sizes + sizeof(Sizes) / sizeof(int);
    int lanes = (int)shape[0], each_row = shape[2] > 1;
    const Run run = {lanes, (int)shape[1], s.width, s.channels, (int)shape[4], seeds, temperatures, guidances, unconditional,
                     noise_index, symbols, likelihoods, reaches, intervals};
    const Products p = {0};
    Arena arena = {scratch, 0};
    Buffers b = buffers(&s, lanes, &arena);
    State *states = take(&arena, lanes * (int64_t)sizeof(State));
    for (int n = 0; n < lanes; n++)
        states[n] = (State){pixels + n * pixel_size, hidden + n * hidden_size, cells + n * cells_size, right + n * right_size};
    int64_t line = (int64_t)(s.columns + 2 * s.first) * s.channels;
    memset(b.streams, 0, (size_t)(4 * lanes * streams_size(&s))); /* its margin stays */
    for (int t = 0; t < run.steps; t++) {
        const float *once = weights;
#define CONDITION(lane)                                                                                               \
    ((Condition){conditions + (lane) * shape[2] * shape[3] + (each_row ? rows[lane] * s.columns * shape[3] : 0),           \
                 (int)shape[3], each_row ? s.columns : 1})
        for (int lane = 0; lane < lanes; lane++)
            once = row_above(&s, &b, weights, states[lane], CONDITION(lane), rows[lane], lane);
        for (int x = 0; x < s.columns; x++) {
            const float *w = once, *head = weights + begin[0];
            for (int c = 0; c < s.channels; c++) {
                for (int lane = 0; lane < lanes; lane++)
                    copy(states[lane].pixels + (rows[lane] + s.first) * line + x * s.channels,
                         b.window + lane * (s.first + 1) * s.channels, s.first * s.channels + c);
                w = pixel(&s, &b, w, x, c, states, lanes, hidden_size);
                if (x == s.width) continue; /* the column past the edge, which the LSTMs from the right need */
                int seen = (c + 1) * run_of(&s);
                for (int lane = 0; lane < lanes; lane++) copy(head, b.head.sums + lane * s.outputs, s.outputs);
                head += s.outputs;
                add_float_products(b.out, (int64_t)s.channels * run_of(&s), head, seen, s.outputs, b.head.sums, lanes);
                head = logits_of(&p, &b.head, head + seen * s.outputs, c, lanes);
                take_symbols(&run, &b.head, t, x, c);
                for (int lane = 0; lane < lanes; lane++)
                    states[lane].pixels[(rows[lane] + s.first) * line + (s.first + x) * s.channels + c] =
                        table[symbol_of(&run, &b.head, lane, t, x, c)];
            }
        }
        for (int lane = 0; lane < lanes; lane++) {
            if (s.diagonal)
                row_from_right(&s, &b, weights + begin[1], CONDITION(lane), b.streams + lane * streams_size(&s),
                               states[lane].right);
            rows[lane]++;
        }
    }
}

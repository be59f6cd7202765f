/* A WaveNet with cached activations (Fast WaveNet, Le Paine et al. 2016) in integers.

   Weights and the inputs of products are bytes, sums have 32 bits. The residual path and the skips are sums that go
   through all layers, so nothing is rounded between them. ancestral_models/kernels/wavenet_layout.py chooses units and packs
   the weights. A lane is a stream at a position of its own; the weights that are read serve all lanes. */
#include "draw.h"
#include "export.h"

enum { SYMBOLS = 256, MOST_CHANNELS = 1024, MARKS = 3 };
enum { SAMPLE, SCORE, REPLAY }; /* draw symbols; score given ones; bring the ring buffers to where given ones lead */

typedef struct { int layers, cycle, residual, hidden, skip, head; } Sizes; /* channels are multiples of ROW */

/* The tensors of a layer, and of the head, in the order in which they lie in memory and are used. */
typedef struct {
    const int32_t *shifts; /* of the residual path, of the gates' sums; by how much the unit of tanh is coarser */
    const int16_t *byte_scale, *gate_scale;
    Matrix taps;
    const int32_t *bias;
    Matrix onward; /* to the residual path and the skips */
} Layer;
typedef struct {
    const int32_t *shifts; /* of the skips' sums, of the head's, and of the output's before and after its scale */
    const int16_t *skip_scale, *head_scale;
    const int32_t *head_bias;
    Matrix head;
    const int32_t *output_bias, *output_scale;
    Matrix output;
} Head;

INLINE const void *take(const char **at, int64_t bytes) {
    const void *here = *at;
    *at += bytes;
    return here;
}
INLINE Matrix take_matrix(const char **at, int inputs, int outputs) {
    const int32_t *offset = take(at, 4 * outputs);
    return (Matrix){inputs, outputs, take(at, (int64_t)inputs * outputs), offset};
}
INLINE Layer take_layer(const char **at, Sizes s) {
    Layer layer;
    layer.shifts = take(at, 64);
    layer.byte_scale = take(at, 4 * s.residual);
    layer.gate_scale = take(at, 4 * s.hidden);
    layer.taps = take_matrix(at, 2 * s.residual, 2 * s.hidden);
    layer.bias = take(at, 4 * s.residual);
    layer.onward = take_matrix(at, s.hidden, s.residual + s.skip);
    return layer;
}
INLINE Head take_head(const char **at, Sizes s) {
    Head head;
    head.shifts = take(at, 64);
    head.skip_scale = take(at, 2 * s.skip);
    head.head_scale = take(at, 2 * s.head);
    head.head_bias = take(at, 4 * s.head);
    head.head = take_matrix(at, s.skip, s.head);
    head.output_bias = take(at, 4 * SYMBOLS);
    head.output_scale = take(at, 4 * SYMBOLS);
    head.output = take_matrix(at, s.head, SYMBOLS);
    return head;
}

/* Copies whole rows. */
INLINE void copy(int32_t *to, const int32_t *from, int count) {
    for (int i = 0; i < count; i += ROW) __builtin_memcpy(to + i, from + i, 4 * ROW);
}

/* tanh(u * 3.3 / 2^15) in units of 2^-13, within 0.0014: u times a minimax polynomial of w = 2 u^2 - 1. */
INLINE V quarter_tanh(V u) {
    const V w = v_add(v_left(v_mulhrs(u, u), 1), v_set(-32767)), w2 = v_mulhrs(w, w);
    V p = v_add(v_mulhrs(v_set(1735), w2), v_add(v_mulhrs(v_set(-2695), w), v_set(1040)));
    p = v_add(v_mulhrs(p, w2), v_add(v_mulhrs(v_set(-1340), w), v_set(3367)));
    p = v_add(v_mulhrs(p, w2), v_add(v_mulhrs(v_set(-5296), w), v_set(11370)));
    return v_mulhrs(u, p);
}
/* A sum in units of 2^-15 of the limit 3.3, beyond which tanh is 1. */
INLINE V limited_sum(const int32_t *z, const int32_t *shifts, const int16_t *scale) {
    V a = v_mulhrs(v_narrow(z, shifts[1]), v_load(scale));
    if (!shifts[2]) return v_left(v_max(v_min(a, v_set(8191)), v_set(-8191)), 2);
    const int16_t limit = (int16_t)(8191 >> shifts[2]);
    return v_shift(v_max(v_min(a, v_set(limit)), v_set((int16_t)-limit)), 2 + shifts[2]);
}
/* tanh(a) * sigmoid(b) in units of 1 / 127; the unit of b is twice that of a. */
INLINE V gate(const int32_t *z, const int32_t *shifts, const int16_t *scale, int hidden) {
    V a = quarter_tanh(limited_sum(z, shifts, scale)), b = quarter_tanh(limited_sum(z + hidden, shifts, scale + hidden));
    V sigmoid = v_add(v_left(b, 1), v_set(16384));
    return v_mulhrs(v_mulhrs(a, sigmoid), v_set(4 * 127));
}

/* One layer of all lanes: ``sums`` [lanes][residual + skip] in and out, ``z`` the gates' biases, ``row`` the lanes' rows
   of the ring buffer. */
INLINE void run_layer(const Layer *layer, Sizes s, int32_t *sums, int8_t *const *row, const int32_t *z, int lanes) {
    int8_t taps[4 * PREPARED * 2 * MOST_CHANNELS] ALIGNED, gated[4 * PREPARED * MOST_CHANNELS] ALIGNED;
    int32_t gates[4 * 2 * MOST_CHANNELS] ALIGNED;
    const int width = s.residual + s.skip;
    UNROLL for (int n = 0; n < lanes; n++)
        for (int j = 0; j < s.residual; j += ROW) {
            int32_t *own = sums + n * width + j;
            int8_t *to = taps + n * PREPARED * 2 * s.residual;
            const int16_t *scale = layer->byte_scale + j;
            ROW_OF(past, v_mulhrs(v_narrow(own + i, layer->shifts[0]), v_load(scale + i)));
            ROW_OF(current, v_mulhrs(v_narrow(own + i, layer->shifts[0]), v_load(scale + s.residual + i)));
            prepare(to, 2 * s.residual, j, row_load(row[n] + j));
            prepare(to, 2 * s.residual, s.residual + j, current);
            row_store(row[n] + j, past);
            for (int i = 0; i < ROW; i++) own[i] += layer->bias[j + i];
        }
    product(&layer->taps, z, 2 * s.hidden, taps, gates, lanes, PAIRED);
    UNROLL for (int n = 0; n < lanes; n++)
        for (int j = 0; j < s.hidden; j += ROW) {
            ROW_OF(gate_row, gate(gates + 2 * n * s.hidden + j + i, layer->shifts, layer->gate_scale + j + i, s.hidden));
            prepare(gated + n * PREPARED * s.hidden, s.hidden, j, gate_row);
        }
    product(&layer->onward, sums, width, gated, sums, lanes, PAIRED);
}

/* Sums as bytes that are not negative, inputs of a product. */
INLINE void rectify(const int32_t *sums, int shift, const int16_t *scale, int count, int8_t *to) {
    for (int j = 0; j < count; j += ROW) {
        ROW_OF(row, v_max(v_mulhrs(v_narrow(sums + j + i, shift), v_load(scale + j + i)), v_set(0)));
        prepare(to, count, j, row);
    }
}

/* The logits of all lanes [lanes][SYMBOLS] in units of 2^-12 of log2. */
INLINE void run_head(const Head *head, Sizes s, const int32_t *sums, int32_t *logits, int lanes) {
    int8_t bytes[4 * PREPARED * MOST_CHANNELS] ALIGNED;
    int32_t inner[4 * MOST_CHANNELS] ALIGNED;
    UNROLL for (int n = 0; n < lanes; n++)
        rectify(sums + n * (s.residual + s.skip) + s.residual, head->shifts[0], head->skip_scale, s.skip,
                bytes + n * PREPARED * s.skip);
    product(&head->head, head->head_bias, 0, bytes, inner, lanes, POSITIVE | PAIRED);
    UNROLL for (int n = 0; n < lanes; n++)
        rectify(inner + n * s.head, head->shifts[1], head->head_scale, s.head, bytes + n * PREPARED * s.head);
    product(&head->output, head->output_bias, 0, bytes, logits, lanes, POSITIVE | PAIRED);
    const int before = head->shifts[2], after = head->shifts[3];
    UNROLL for (int n = 0; n < lanes; n++)
        for (int j = 0; j < SYMBOLS; j++)
            logits[n * SYMBOLS + j] = ((logits[n * SYMBOLS + j] >> before) * head->output_scale[j]) >> after;
}

typedef struct {
    int8_t *rings;             /* [lanes][ring] */
    int64_t *marks;            /* [lanes][MARKS]: the next position, the symbol before it, the seed */
    const int32_t *biases;     /* [lanes][frames][layers * 2 * hidden], from the frame of the first position on */
    const int32_t *inverses;   /* [lanes][frames]: 2^12 over the temperature */
    const int32_t *least;      /* [lanes]: min-p, the share of the largest share 2^22 */
    int64_t frames, hop;
    uint8_t *symbols;          /* [lanes][count] */
    int32_t *scores;           /* [lanes][count][2]: how far below the largest logit, and the total of the shares */
    int64_t count, mode;
} Call;

INLINE void run(Sizes s, const char *weights, const Call *call, int lanes) {
    int32_t sums[4 * 2 * MOST_CHANNELS] ALIGNED, z[4 * 2 * MOST_CHANNELS] ALIGNED, logits[4 * SYMBOLS] ALIGNED;
    const int width = s.residual + s.skip, gates = 2 * s.hidden;
    const int64_t ring_size = (int64_t)s.layers / s.cycle * ((1 << s.cycle) - 1) * s.residual;
    int64_t first[4];
    for (int n = 0; n < lanes; n++) first[n] = call->marks[MARKS * n] / call->hop;
    for (int64_t t = 0; t < call->count; t++) {
        const char *at = weights;
        const int32_t *embedding = take(&at, 4 * SYMBOLS * s.residual), *skip_bias = take(&at, 4 * s.skip), *bias[4];
        int64_t frame[4];
        UNROLL for (int n = 0; n < lanes; n++) {
            const int64_t *mark = call->marks + MARKS * n;
            frame[n] = n * call->frames + mark[0] / call->hop - first[n];
            bias[n] = call->biases + frame[n] * s.layers * gates;
            copy(sums + n * width, embedding + mark[1] * s.residual, s.residual);
            copy(sums + n * width + s.residual, skip_bias, s.skip);
        }
        int8_t *ring = call->rings;
        for (int l = 0, dilation = 1; l < s.layers; l++) {
            const Layer layer = take_layer(&at, s);
            int8_t *row[4];
            UNROLL for (int n = 0; n < lanes; n++) {
                row[n] = ring + n * ring_size + (call->marks[MARKS * n] & (dilation - 1)) * s.residual;
                if (lanes > 1) copy(z + n * gates, bias[n] + l * gates, gates);
            }
            run_layer(&layer, s, sums, row, lanes > 1 ? z : bias[0] + l * gates, lanes);
            ring += (int64_t)dilation * s.residual;
            dilation = dilation == 1 << (s.cycle - 1) ? 1 : 2 * dilation;
        }
        const Head head = take_head(&at, s);
        if (call->mode != REPLAY) run_head(&head, s, sums, logits, lanes);
        for (int n = 0; n < lanes; n++) {
            int64_t *mark = call->marks + MARKS * n;
            uint8_t *symbol = call->symbols + n * call->count + t;
            const int32_t *own = logits + n * SYMBOLS;
            if (call->mode == SCORE) {
                int32_t share[SYMBOLS] ALIGNED, parts[SYMBOLS / 16] ALIGNED, *score = call->scores + 2 * (n * call->count + t);
                score[0] = largest(own, SYMBOLS) - own[*symbol];
                score[1] = shares(own, SYMBOLS, 1 << LOG_BITS, 0, share, parts);
            } else if (call->mode == SAMPLE)
                *symbol = (uint8_t)draw(own, SYMBOLS, call->inverses[frame[n]], call->least[n],
                                        noise((uint64_t)mark[2], (uint64_t)mark[0]));
            mark[1] = *symbol;
            mark[0]++;
        }
    }
}

/* ``sizes``: the fields of Sizes. Python has checked them, and every array against them. */
EXPORT(wavenet)
void wavenet(const int32_t *sizes, const int8_t *weights, int64_t lanes, int8_t *rings, int64_t *marks,
             const int32_t *biases, const int32_t *inverses, const int32_t *least, int64_t frames, int64_t hop,
             uint8_t *symbols, int32_t *scores, int64_t count, int64_t mode) {
    const Sizes any = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]};
    const Call call = {rings, marks, biases, inverses, least, frames, hop, symbols, scores, count, mode};
    const char *at = (const char *)weights;
#ifndef PORTABLE
    /* Size S: what is known where it is compiled is a quarter faster. */
    const Sizes small = {any.layers, any.cycle, 32, 32, 128, 256};
    if (any.residual == 32 && any.hidden == 32 && any.skip == 128 && any.head == 256 && lanes != 2) {
        if (lanes == 1) run(small, at, &call, 1);
        if (lanes == 4) run(small, at, &call, 4);
        return;
    }
#endif
    if (lanes == 1) run(any, at, &call, 1);
    if (lanes == 2) run(any, at, &call, 2);
    if (lanes == 4) run(any, at, &call, 4);
}

/* The length of the weights. */
EXPORT(wavenet_bytes) int64_t wavenet_bytes(const int32_t *sizes) {
    const Sizes s = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]};
    const char *const begin = (const char *)64, *at = begin;
    take(&at, 4 * SYMBOLS * s.residual + 4 * s.skip);
    for (int l = 0; l < s.layers; l++) take_layer(&at, s);
    take_head(&at, s);
    return at - begin;
}

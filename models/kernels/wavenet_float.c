/* A WaveNet in single precision: the same network as wavenet.c as it was trained, for likelihoods and comparisons. */
#include "draw.h"
#include "export.h"
#include "floats.h"

enum { SYMBOLS = 256, MOST_CHANNELS = 1024, MARKS = 3 };
enum { SAMPLE, SCORE, REPLAY }; /* see wavenet.c */

/* The cumulative sums of exp((logit - largest) / temperature) without the terms below ``least``; returns the largest. */
INLINE float accumulate(const float *logits, double temperature, double least, double *cumulative) {
    float top = logits[0];
    for (int j = 1; j < SYMBOLS; j++) top = logits[j] > top ? logits[j] : top;
    for (int j = 0; j < SYMBOLS; j++) cumulative[j] = exp_of(((double)logits[j] - (double)top) / temperature);
    for (int j = 0; j < SYMBOLS; j++)
        cumulative[j] = (cumulative[j] >= least ? cumulative[j] : 0.0) + (j ? cumulative[j - 1] : 0.0);
    return top;
}

INLINE int draw_of(const float *logits, double temperature, double least, double noise) {
    double cumulative[SYMBOLS];
    int j = 0;
    if (temperature == 0.0) {
        for (int k = 1; k < SYMBOLS; k++) j = logits[k] > logits[j] ? k : j;
        return j;
    }
    accumulate(logits, temperature, least, cumulative);
    while (j < SYMBOLS - 1 && cumulative[j] <= noise * cumulative[SYMBOLS - 1]) j++;
    return j;
}

/* ``weights`` as Fp32Layout packs them; the other arrays as those of wavenet(), in float and double. */
EXPORT(wavenet_float)
void wavenet_float(const int32_t *sizes, const float *weights, int64_t lanes, float *rings, int64_t *marks,
                   const float *biases, const double *temperatures, const double *least, int64_t frames, int64_t hop,
                   uint8_t *symbols, double *scores, int64_t count, int64_t mode) {
    const int layers = sizes[0], cycle = sizes[1], residual = sizes[2], hidden = sizes[3], skip = sizes[4], wide = sizes[5];
    const int flow_size = residual + skip, gates = 2 * hidden;
    const int64_t ring_size = (int64_t)layers / cycle * ((1 << cycle) - 1) * residual;
    float flow[2 * MOST_CHANNELS], taps[2 * MOST_CHANNELS], z[2 * MOST_CHANNELS], top[MOST_CHANNELS], logits[SYMBOLS];
    for (int64_t n = 0; n < lanes; n++) {
        int64_t *mark = marks + MARKS * n;
        const int64_t first = mark[0] / hop;
        for (int64_t t = 0; t < count; t++) {
            const int64_t frame = n * frames + mark[0] / hop - first;
            const float *w = weights, *bias = biases + frame * layers * gates;
            float *ring = rings + n * ring_size;
            memcpy(flow, w + mark[1] * residual, 4 * (size_t)residual);
            memcpy(flow + residual, w + SYMBOLS * residual, 4 * (size_t)skip);
            w += SYMBOLS * residual + skip;
            for (int l = 0, dilation = 1; l < layers; l++, bias += gates) {
                float *row = ring + (mark[0] & (dilation - 1)) * residual;
                memcpy(taps, row, 4 * (size_t)residual);
                memcpy(taps + residual, flow, 4 * (size_t)residual);
                memcpy(row, flow, 4 * (size_t)residual);
                memcpy(z, bias, 4 * (size_t)gates);
                float_rows(taps, 0, w, 2 * residual, gates, z, 0, 1);
                w += 2 * residual * gates;
                for (int j = 0; j < hidden; j++) z[j] = tanh_of(z[j]) * sigmoid_of(z[hidden + j]);
                for (int j = 0; j < residual; j++) flow[j] += w[j];
                float_rows(z, 0, w + residual, hidden, flow_size, flow, 0, 1);
                w += residual + hidden * flow_size;
                ring += dilation * residual;
                dilation = dilation == 1 << (cycle - 1) ? 1 : 2 * dilation;
            }
            uint8_t *symbol = symbols + n * count + t;
            if (mode != REPLAY) {
                for (int j = 0; j < skip; j++) flow[residual + j] = flow[residual + j] > 0 ? flow[residual + j] : 0;
                memcpy(top, w, 4 * (size_t)wide);
                float_rows(flow + residual, 0, w + wide, skip, wide, top, 0, 1);
                w += wide + skip * wide;
                for (int j = 0; j < wide; j++) top[j] = top[j] > 0 ? top[j] : 0;
                memcpy(logits, w, sizeof logits);
                float_rows(top, 0, w + SYMBOLS, wide, SYMBOLS, logits, 0, 1);
            }
            if (mode == SCORE) {
                double cumulative[SYMBOLS], *score = scores + 2 * (n * count + t);
                score[0] = (double)accumulate(logits, 1.0, 0.0, cumulative) - (double)logits[*symbol];
                score[1] = cumulative[SYMBOLS - 1];
            } else if (mode == SAMPLE)
                *symbol = (uint8_t)draw_of(logits, temperatures[frame], least[n],
                                           uniform((uint64_t)mark[2], (uint64_t)mark[0]));
            mark[1] = *symbol;
            mark[0]++;
        }
    }
}

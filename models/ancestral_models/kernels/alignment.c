/* Dynamic time warping of a recording with what a text sounds like (ancestral_models/acoustic.py). */
#include "export.h"
#include "floats.h"

/* The mean distance of two rows; its sum is that of LANES sums, so it has the same bits with all instructions. */
static float distance(const float *a, const float *b, int64_t bands) {
    enum { LANES = 16 };
    float sums[LANES] = {0}, total = 0.0f;
    int64_t i = 0;
    for (; i + LANES <= bands; i += LANES)
        for (int k = 0; k < LANES; k++) sums[k] += a[i + k] > b[i + k] ? a[i + k] - b[i + k] : b[i + k] - a[i + k];
    for (; i < bands; i++) sums[i % LANES] += a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
    for (int k = 0; k < LANES; k++) total += sums[k];
    return total / (float)bands;
}

/* The cheapest way from row to row of ``sound [count]``: each stands for one row of ``text [columns]``.

   Row j can stand for rows low[j] ... low[j] + width - 1; the way starts among the ``first`` rows of the text and ends
   among the ``last``. ``steps`` [count][width] and ``costs`` [2][width] are scratch memory. Returns whether there is one. */
EXPORT(alignment_path)
int64_t alignment_path(const float *sound, int64_t count, const float *text, int64_t columns, int64_t bands,
                       const int64_t *low, int64_t width, int64_t first, int64_t last, const float *step_costs,
                       int64_t most_steps, uint8_t *steps, float *costs, int64_t *path) {
    float *before = costs, *now = costs + width;
    const float infinity = __builtin_inff();
    for (int64_t j = 0; j < count; j++) {
        int64_t shift = j ? low[j] - low[j - 1] : 0;
        for (int64_t k = 0; k < width; k++) {
            float best = j || low[j] + k >= first ? infinity : 0.0f;
            int64_t step = 0;
            for (int64_t s = 0; j && s < most_steps; s++) {
                int64_t source = k + shift - s;
                if (0 <= source && source < width && before[source] + step_costs[s] < best)
                    best = before[source] + step_costs[s], step = s;
            }
            if (best < infinity) best += distance(sound + j * bands, text + (low[j] + k) * bands, bands);
            now[k] = best, steps[j * width + k] = (uint8_t)step;
        }
        float *swapped = before;
        before = now, now = swapped;
    }
    int64_t ends = columns - last - low[count - 1], best = ends > 0 ? ends : 0;
    for (int64_t k = best; k < width; k++) best = before[k] < before[best] ? k : best;
    if (!(before[best] < infinity)) return 0;
    path[count - 1] = low[count - 1] + best;
    for (int64_t j = count - 1; j > 0; j--) path[j - 1] = path[j] - steps[j * width + path[j] - low[j]];
    return 1;
}

/* Which of many seeds fits what was seen: Wald's sequential probability ratio test, seed by seed (seed_search.py).

   A seed is left when its sum falls below ``floor``, after the few symbols at which its noise does not fit. */
#include "export.h"
#include "draw.h"

/* Of the noise of a position, mean 0 and variance 1. */
INLINE double standard(uint64_t seed, uint64_t position) { return 3.4641016151377544 * (uniform(seed, position) - 0.5); }

EXPORT(search_intervals)
void search_intervals(const uint64_t *seeds, int64_t count, const int64_t *positions, int64_t length, const double *low,
                      const double *high, const double *hits, const double *misses, double floor, double *sums) {
    for (int64_t s = 0; s < count; s++) {
        double total = 0.0;
        for (int64_t i = 0; i < length && total >= floor; i++) {
            double u = uniform(seeds[s], (uint64_t)positions[i]);
            total += low[i] <= u && u < high[i] ? hits[i] : misses[i];
        }
        sums[s] = total < floor ? -__builtin_inf() : total;
    }
}

EXPORT(search_linear)
void search_linear(const uint64_t *seeds, int64_t count, const int64_t *positions, int64_t length, const double *weights,
                   double floor, double *sums) {
    for (int64_t s = 0; s < count; s++) {
        double total = 0.0;
        for (int64_t i = 0; i < length && total >= floor; i++) {
            double a = weights[i];
            total += a * standard(seeds[s], (uint64_t)positions[i]) - 0.5 * a * a;
        }
        sums[s] = total < floor ? -__builtin_inf() : total;
    }
}

EXPORT(standard_noise) void standard_noise(uint64_t seed, uint64_t start, int64_t count, double *scores) {
    for (int64_t t = 0; t < count; t++) scores[t] = standard(seed, start + (uint64_t)t);
}

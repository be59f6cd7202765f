/* Spectral shaping by linear prediction (audio/shaping.py), in double precision. */
#include "export.h"
#include "floats.h"

enum { ORDER = 16, HALF = ORDER / 2, RENEWALS = 4, WIDE = LANE / 2, PARTS = HALF / WIDE };
typedef double Doubles __attribute__((vector_size(8 * WIDE), aligned(8), may_alias));

/* The power is exp(2 log): of the eighth powers of u and v, in each renewal another mixture. */
static void mix(const double *u, const double *v, int64_t bins, double *restrict powers) {
    for (int64_t k = 0; k < bins; k++) {
        double a = u[k] * u[k], b = v[k] * v[k], both = u[k] * v[k];
        powers[k] = both * a * a * a, powers[bins + k] = both * a * a * b;
        powers[2 * bins + k] = both * a * b * b, powers[3 * bins + k] = both * b * b * b;
    }
}

/* Autocorrelations of spectra whose logs are interpolated linearly, from the bands of each frame to its bins, and from the
   centre of a frame to that of the next.

   ``logs`` [frames][bands] of the magnitudes and ``shelf`` [bins], what is added in a voiced frame, are divided by
   RENEWALS; ``below`` and ``shares`` are those of bin_weights, ``even``, ``odd`` and ``last`` those of _cosines. ``scratch``
   has room for (2 + RENEWALS) * bins numbers; ``lags`` [frames * RENEWALS][ORDER + 1] are written. */
EXPORT(autocorrelate)
void autocorrelate(const double *logs, int64_t frames, int64_t bands, const int64_t *below, const double *shares,
                   int64_t bins, const double *shelf, const double *voicing, const double *even, const double *odd,
                   const double *last, double *scratch, double *lags) {
    int64_t middle = bins / 2;
    double *powers = scratch + 2 * bins;
    for (int64_t frame = 0; frame <= frames; frame++) {
        double *u = scratch + (1 - frame % 2) * bins, *v = scratch + frame % 2 * bins;
        const double *own = logs + frame * bands;
        if (frame == frames) v = u; /* after the last centre nothing changes any more */
        if (frame < frames) {
            for (int64_t k = 0; k < bins; k++) {
                double low = own[below[k]];
                v[k] = low + shares[k] * (own[below[k] + 1] - low) + shelf[k] * voicing[frame];
            }
            for (int64_t k = 0; k < bins; k++) v[k] = exp_of(v[k]);
        }
        if (frame == 0) u = v;
        mix(u, v, bins, powers);
        for (int64_t part = 0; part < RENEWALS; part++) {
            int64_t row = RENEWALS * frame - RENEWALS / 2 + part;
            if (row < 0 || row >= frames * RENEWALS) continue;
            const double *power = powers + part * bins;
            double final = power[middle] * last[middle], *found = lags + row * (ORDER + 1);
            Doubles evens[PARTS] = {0}, odds[PARTS] = {0};
            /* cos(n (pi - x)) is cos(n x) for even n and -cos(n x) for odd n: two bins share each cosine. */
            for (int64_t k = 0; k < middle; k++) {
                double up = power[k] + power[bins - 1 - k], down = power[k] - power[bins - 1 - k];
                final += up * last[k];
                UNROLL for (int n = 0; n < PARTS; n++) {
                    evens[n] += up * *(const Doubles *)(even + k * HALF + n * WIDE);
                    odds[n] += down * *(const Doubles *)(odd + k * HALF + n * WIDE);
                }
            }
            for (int n = 0; n < HALF; n++) {
                found[2 * n] = evens[n / WIDE][n % WIDE] + power[middle] * even[middle * HALF + n];
                found[2 * n + 1] = odds[n / WIDE][n % WIDE];
            }
            found[ORDER] = final;
        }
    }
}

/* Levinson's and Durbin's recursion, a row at a time; ``scratch`` has room for 2 * (order + 1) numbers. */
EXPORT(levinson)
void levinson(const double *lags, int64_t rows, int64_t order, double *scratch, double *coefficients, double *energies) {
    double *a = scratch, *before = scratch + order + 1;
    for (int64_t n = 0; n < rows; n++, lags += order + 1) {
        double energy = lags[0];
        for (int64_t k = 1; k <= order; k++) a[k] = 0.0;
        a[0] = 1.0;
        for (int64_t k = 1; k <= order; k++) {
            double total = 0.0;
            for (int64_t j = 0; j < k; j++) {
                total += a[j] * lags[k - j];
                before[j] = a[j];
            }
            double reflection = -total / energy;
            for (int64_t j = 0; j < k; j++) a[k - j] += reflection * before[j];
            energy *= 1.0 - reflection * reflection;
        }
        for (int64_t k = 0; k < order; k++) coefficients[n * order + k] = a[k + 1];
        energies[n] = energy;
    }
}

/* x[t] = level e[t] - sum of a_k x[t - k], limited; the filter is renewed every ``hop`` samples, ``position`` is that of
   the first. ``sound`` begins with the ORDER samples before it, the oldest first; the rest is written. */
EXPORT(all_pole)
void all_pole(const double *excitation, int64_t count, const double *coefficients, const double *levels, int64_t hop,
              int64_t position, double limit, double *sound) {
    for (int64_t t = 0; t < count; t++) {
        int64_t row = (position + t) / hop;
        double value = excitation[t] * levels[row];
        for (int k = 0; k < ORDER; k++) value -= coefficients[row * ORDER + k] * sound[ORDER + t - 1 - k];
        sound[ORDER + t] = value < -limit ? -limit : value > limit ? limit : value;
    }
}

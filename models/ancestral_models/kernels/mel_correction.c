/* The frames of audio/shaping.py: a second of sound in one or two milliseconds. */
#include "export.h"
#include "floats.h"

/* The discrete Fourier transform of row 0 of ``real`` and ``imaginary`` [2][size], size a power of two; returns the row
   that it is in. Stockham's, in order, radix 4 with one last step of radix 2 where the size asks for it. ``cosines`` and
   ``sines`` are of pi k / size. */
static int fft(double *real, double *imaginary, int64_t size, const double *cosines, const double *sines) {
    int64_t half = size / 2, quarter = size / 4, span = 1;
    int row = 0;
    for (; span <= quarter; span *= 4, row = 1 - row) {
        const double *restrict xr = real + row * size, *restrict xi = imaginary + row * size;
        double *restrict yr = real + (1 - row) * size, *restrict yi = imaginary + (1 - row) * size;
        for (int64_t start = 0; start < quarter; start += span) {
            double c1 = cosines[2 * start], s1 = -sines[2 * start], c2 = c1 * c1 - s1 * s1, s2 = 2.0 * c1 * s1;
            double c3 = c1 * c2 - s1 * s2, s3 = c1 * s2 + s1 * c2;
            for (int64_t k = start, to = 4 * start; k < start + span; k++, to++) {
                double ar = xr[k] + xr[k + half], ai = xi[k] + xi[k + half];
                double br = xr[k] - xr[k + half], bi = xi[k] - xi[k + half];
                double cr = xr[k + quarter] + xr[k + quarter + half], ci = xi[k + quarter] + xi[k + quarter + half];
                double dr = xr[k + quarter] - xr[k + quarter + half], di = xi[k + quarter] - xi[k + quarter + half];
                yr[to] = ar + cr, yi[to] = ai + ci;
                double r = br + di, i = bi - dr;
                yr[to + span] = r * c1 - i * s1, yi[to + span] = r * s1 + i * c1;
                r = ar - cr, i = ai - ci;
                yr[to + 2 * span] = r * c2 - i * s2, yi[to + 2 * span] = r * s2 + i * c2;
                r = br - di, i = bi + dr;
                yr[to + 3 * span] = r * c3 - i * s3, yi[to + 3 * span] = r * s3 + i * c3;
            }
        }
    }
    if (span == size) return row;
    for (int n = 0; n < 2; n++) {
        const double *restrict x = (n ? imaginary : real) + row * size;
        double *restrict y = (n ? imaginary : real) + (1 - row) * size;
        for (int64_t k = 0; k < half; k++) y[k] = x[k] + x[k + half], y[k + half] = x[k] - x[k + half];
    }
    return 1 - row;
}

/* The bins [half + 1] of 2 * half real numbers, from the transform of the even ones + i the odd ones. */
static void spectrum(const double *real, const double *imaginary, int64_t half, const double *cosines, const double *sines,
                     double *restrict xr, double *restrict xi) {
    xr[0] = real[0] + imaginary[0], xi[0] = 0.0, xr[half] = real[0] - imaginary[0], xi[half] = 0.0;
    for (int64_t k = 1; k < half; k++) {
        double er = real[k] + real[half - k], ei = imaginary[k] - imaginary[half - k];
        double r = imaginary[k] + imaginary[half - k], i = real[half - k] - real[k];
        xr[k] = 0.5 * (er + r * cosines[k] + i * sines[k]), xi[k] = 0.5 * (ei + i * cosines[k] - r * sines[k]);
    }
}

/* The inverse of ``spectrum``. */
static void folded(const double *xr, const double *xi, int64_t half, const double *cosines, const double *sines,
                   double *restrict real, double *restrict imaginary) {
    real[0] = 0.5 * (xr[0] + xr[half]), imaginary[0] = 0.5 * (xr[0] - xr[half]);
    for (int64_t k = 1; k < half; k++) {
        double r = xr[k] - xr[half - k], i = xi[k] + xi[half - k];
        real[k] = 0.5 * (xr[k] + xr[half - k] - r * sines[k] - i * cosines[k]);
        imaginary[k] = 0.5 * (xi[k] - xi[half - k] + r * cosines[k] - i * sines[k]);
    }
}

/* Brings the bands of some frames towards what is wanted, and adds them to what is there.

   ``raw`` is sound and ``total`` the sum of the frames so far; frames begin at ``first`` and then every ``hop``. ``wanted``
   [frames][bands] are logs of the bands, ``strengths`` [frames]; ``limit`` that of the log of a gain, either way, ``floor``
   that of the log of a band. Then come the arrays of shaping.py's Tables; ``scratch`` has room for
   4 * half + 3 * bins + bands numbers, where bins = half + 1. */
EXPORT(correct_frames)
void correct_frames(const float *raw, float *total, int64_t first, int64_t hop, const double *wanted, const double *strengths,
                    int64_t frames, int64_t bands, double limit, double floor, const double *window, int64_t size,
                    const double *bank, const int64_t *spans, int64_t corrected, const int64_t *below, const double *shares,
                    const double *cosines, const double *sines, int64_t half, double *scratch) {
    int64_t bins = half + 1;
    double *real = scratch, *imaginary = real + 2 * half, *xr = imaginary + 2 * half, *xi = xr + bins;
    double *magnitudes = xi + bins, *gains = magnitudes + bins, sum = 0.0, least = exp_of(floor);
    for (int64_t n = 0; n < size; n++) sum += window[n];
    const double into_mean = 1.0 / sum, out_of_sum = 1.0 / (1.5 * (double)half);
    for (int64_t b = 0; b < bands; b++) gains[b] = 1.0;
    for (int64_t j = 0; j < frames; j++) {
        const float *from = raw + first + j * hop;
        float *to = total + first + j * hop;
        for (int64_t n = 0; n < half; n++) real[n] = imaginary[n] = 0.0;
        for (int64_t n = 0; n < size; n += 2)
            real[n / 2] = from[n] * window[n], imaginary[n / 2] = from[n + 1] * window[n + 1];
        int row = fft(real, imaginary, half, cosines, sines);
        spectrum(real + row * half, imaginary + row * half, half, cosines, sines, xr, xi);
        for (int64_t k = 0; k < spans[2 * corrected - 1]; k++)
            magnitudes[k] = __builtin_sqrt(xr[k] * xr[k] + xi[k] * xi[k]);
        for (int64_t b = 0; b < corrected; b++) {
            double found = 0.0, goal = wanted[j * bands + b];
            for (int64_t k = spans[2 * b]; k < spans[2 * b + 1]; k++) found += magnitudes[k] * bank[b * bins + k];
            found *= into_mean;
            double step = (goal > floor ? goal : floor) - log_of(found > least ? found : least);
            gains[b] = exp_of(strengths[j] * (step < -limit ? -limit : step > limit ? limit : step));
        }
        for (int64_t k = 0; k < bins; k++) {
            double gain = gains[below[k]] + shares[k] * (gains[below[k] + 1] - gains[below[k]]);
            xr[k] *= gain, xi[k] *= gain;
        }
        /* The inverse transform is the transform with real and imaginary parts exchanged. */
        folded(xr, xi, half, cosines, sines, imaginary, real);
        row = fft(real, imaginary, half, cosines, sines);
        const double *even = imaginary + row * half, *odd = real + row * half;
        for (int64_t n = 0; n < size; n += 2) {
            to[n] = (float)(to[n] + window[n] * even[n / 2] * out_of_sum);
            to[n + 1] = (float)(to[n + 1] + window[n + 1] * odd[n / 2] * out_of_sum);
        }
    }
}

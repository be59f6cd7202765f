/* Noise from a seed and a position, and the draw of a symbol, in integers. */
#pragma once
#include "vectors.h"

enum {
    LOG_BITS = 12,               /* logits are log2 of a share in units of 2^-12 */
    SHARE_BITS = 22,             /* the share of the most likely symbol is 2^22, so that 256 of them fit into 31 bits */
    FARTHEST = (SHARE_BITS + 1) << LOG_BITS, /* what lies further below the largest logit has no share */
    MOST_SYMBOLS = 256,
};

/* Philox4x32-10 (Salmon et al. 2011): the 64 bits of ancestral_models/categorical.py, for a seed and a position. */
INLINE uint64_t philox(uint64_t seed, uint64_t position) {
    uint64_t c0 = (uint32_t)position, c1 = position >> 32, c2 = 0, c3 = 0;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int n = 0; n < 10; n++) {
        uint64_t p0 = 0xD2511F53u * c0, p1 = 0xCD9E8D57u * c2;
        c0 = (p1 >> 32) ^ c1 ^ k0, c1 = (uint32_t)p1, c2 = (p0 >> 32) ^ c3 ^ k1, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return c1 << 32 | c0;
}
/* The noise of a position: its upper 32 bits, and the number of ancestral_models/categorical.py. */
INLINE uint32_t noise(uint64_t seed, uint64_t position) { return (uint32_t)(philox(seed, position) >> 32); }
INLINE double uniform(uint64_t seed, uint64_t position) {
    return ((double)(philox(seed, position) >> 12) + 0.5) * 0x1p-52;
}

INLINE int32_t largest(const int32_t *logits, int count) {
    int32_t top = logits[0];
    for (int j = 1; j < count; j++) top = logits[j] > top ? logits[j] : top;
    return top;
}

/* The share of every symbol, 2^22 * 2^-((top - logit) / temperature), without those below ``least``, and the sum of
   every sixteen of them in ``sums``. Returns the total.

   ``count`` is a multiple of 16; ``inverse`` is 2^12 over the temperature, 1 ... 2^30. */
INLINE int32_t shares(const int32_t *logits, int count, int32_t inverse, int32_t least, int32_t *share, int32_t *sums) {
    /* The minimax polynomial of 2^-f for 0 <= f < 1 in units of 2^-18, within 10^-4; 2^0 is exact. */
    static const int32_t power[] = {-10385, 60597, -181296, 262144};
    const int32_t top = largest(logits, count), limit = (FARTHEST << LOG_BITS) / inverse + 1;
    int32_t total = 0;
    for (int j = 0; j < count; j++) {
        int32_t below = top - logits[j] < limit ? top - logits[j] : limit, y = below * inverse >> LOG_BITS;
        y = y < FARTHEST ? y : FARTHEST;
        int32_t f = y & ((1 << LOG_BITS) - 1), p = power[0];
        for (int n = 1; n < 4; n++) p = (p * f >> LOG_BITS) + power[n];
        p = p << (SHARE_BITS - 18) >> (y >> LOG_BITS);
        share[j] = p >= least ? p : 0;
    }
    for (int b = 0; b < count / 16; b++) {
        int32_t sum = 0;
        for (int j = 0; j < 16; j++) sum += share[16 * b + j];
        total += sums[b] = sum;
    }
    return total;
}

/* The first symbol whose cumulative share exceeds the noise's part of the total; the most likely one (the first of
   several) if ``inverse`` is 0. Logits lie in -2^30 ... 2^30. */
INLINE int draw(const int32_t *logits, int count, int32_t inverse, int32_t least, uint32_t noise) {
    int32_t share[MOST_SYMBOLS] ALIGNED, sums[MOST_SYMBOLS / 16] ALIGNED;
    if (!inverse) {
        int32_t top = largest(logits, count);
        int j = 0;
        while (logits[j] != top) j++;
        return j;
    }
    uint32_t total = (uint32_t)shares(logits, count, inverse, least, share, sums);
    int32_t target = (int32_t)((uint64_t)total * noise >> 32);
    int b = 0, j = 0;
    while (sums[b] <= target) target -= sums[b++];
    while (share[16 * b + j] <= target) target -= share[16 * b + j++];
    return 16 * b + j;
}

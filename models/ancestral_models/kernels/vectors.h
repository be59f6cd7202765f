/* Products of bytes, and vectors of 16-bit numbers: the only file that knows instruction sets.

   Portable C stands last; it is the reference, and the others compute the same numbers. All are integers, so sums are
   exact in any order. A number that is narrowed is limited to the narrower type; nothing else is.

   v_shift(a, n) is v_left(a, n) for an n that is not known where it is compiled.
   v_mulhrs(a, b) = (a * b + 2^14) >> 15 is one instruction almost everywhere: vpmulhrsw, sqrdmulh, q15mulr. It differs
   between them for -32768 * -32768 only, so one of the two is a constant that is not -32768. */
#pragma once
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))
#define ALIGNED __attribute__((aligned(64)))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* A product multiplies inputs that have been prepared: PREPARED bytes for each. Rows are multiples of ROW numbers. */
enum { ROW = 32 };

enum { POSITIVE = 1, PAIRED = 2 }; /* of a product, see there */

typedef int32_t Four __attribute__((aligned(1), may_alias)); /* four bytes, anywhere */

/* What a product reads besides the inputs; sizes are multiples of ROW, but see window_product. */
typedef struct {
    int inputs, outputs;
    const int8_t *levels;  /* [inputs / 4][outputs][4] in -127 ... 127 */
    const int32_t *offset; /* [outputs]: -128 times the sum of the levels, for instructions that need unsigned inputs */
} Matrix;

#if !defined(PORTABLE) && defined(__AVX512VNNI__) && defined(__AVX512BW__)
#include <immintrin.h>
#define INSTRUCTIONS "avx512-vnni"
enum { VN = 32, PREPARED = 1 };
typedef __m512i V;
typedef int32_t Sums __attribute__((vector_size(64), aligned(4), may_alias));
typedef __m256i Row;
#define v_load(p) _mm512_loadu_si512(p)
#define v_store(p, a) _mm512_storeu_si512(p, a)
#define v_set(x) _mm512_set1_epi16(x)
#define v_mulhrs _mm512_mulhrs_epi16
#define v_add _mm512_add_epi16
#define v_min _mm512_min_epi16
#define v_max _mm512_max_epi16
#define v_left(a, n) _mm512_slli_epi16(a, n)
#define v_shift(a, n) _mm512_sll_epi16(a, _mm_cvtsi32_si128(n))
INLINE V v_narrow(const int32_t *p, int shift) {
    V n = _mm512_set1_epi32(shift);
    V a = _mm512_packs_epi32(_mm512_srav_epi32(v_load(p), n), _mm512_srav_epi32(v_load(p + 16), n));
    return _mm512_permutexvar_epi64(_mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0), a);
}
INLINE Row row_of(const V *a) { return _mm512_cvtsepi16_epi8(a[0]); }
INLINE Row row_load(const int8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE void row_store(int8_t *p, Row a) { _mm256_storeu_si256((__m256i *)p, a); }
/* vpdpbusd multiplies unsigned bytes with signed ones, so inputs are x + 128. */
INLINE void prepare(int8_t *to, int inputs, int i, Row a) {
    (void)inputs;
    row_store(to + i, _mm256_xor_si256(a, _mm256_set1_epi8(-128)));
}
INLINE void tile(const Matrix *m, int j, const int32_t *begin, int step, const int8_t *x, int64_t stride, int64_t sizes,
                 int32_t *sums, int lanes, int vectors, int flags) {
    (void)flags, (void)sizes;
    /* vpdpbusd takes five cycles: where there are few sums, inputs are summed in two or four chains. */
    const int count = lanes * vectors, chains = count <= 4 ? 4 : count <= 8 ? 2 : 1;
    Sums s[24];
    UNROLL for (int n = 0; n < lanes; n++)
        UNROLL for (int v = 0; v < vectors; v++)
            s[n * vectors + v] = *(const Sums *)(begin + n * step + j + 16 * v) + *(const Sums *)(m->offset + j + 16 * v);
    UNROLL for (int k = count; k < count * chains; k++) s[k] = (Sums){0};
    const int8_t *row = m->levels + 4 * j;
    int i = 0;
#define QUADS(chains)                                                                           \
    UNROLL for (int c = 0; c < (chains); c++, row += 4 * m->outputs) {                          \
        V w[16];                                                                                \
        UNROLL for (int v = 0; v < vectors; v++) w[v] = v_load(row + 64 * v);                   \
        UNROLL for (int n = 0; n < lanes; n++) {                                                \
            V four = _mm512_set1_epi32(*(const Four *)(x + n * stride + i + 4 * c));            \
            UNROLL for (int v = 0; v < vectors; v++) {                                          \
                const int k = c * count + n * vectors + v;                                      \
                s[k] = (Sums)_mm512_dpbusd_epi32((V)s[k], four, w[v]);                          \
            }                                                                                   \
        }                                                                                       \
    }
    for (; i + 4 * chains <= m->inputs; i += 4 * chains) QUADS(chains)
    if (chains > 1)
        for (; i < m->inputs; i += 4) QUADS(1)
#undef QUADS
    UNROLL for (int n = 0; n < lanes; n++)
        UNROLL for (int v = 0; v < vectors; v++) {
            Sums sum = s[n * vectors + v];
            UNROLL for (int c = 1; c < chains; c++) sum += s[c * count + n * vectors + v];
            *(Sums *)(sums + n * m->outputs + j + 16 * v) = sum;
        }
}
enum { WORDS = 16, MOST_1 = 16, MOST_2 = 10, MOST_4 = 5 };

#elif !defined(PORTABLE) && defined(__AVX2__)
#include <immintrin.h>
#define INSTRUCTIONS "avx2"
enum { VN = 16, PREPARED = 2 };
typedef __m256i V;
typedef int32_t Sums __attribute__((vector_size(32), aligned(4), may_alias));
typedef __m256i Row;
#define v_load(p) _mm256_loadu_si256((const __m256i *)(p))
#define v_store(p, a) _mm256_storeu_si256((__m256i *)(p), a)
#define v_set(x) _mm256_set1_epi16(x)
#define v_mulhrs _mm256_mulhrs_epi16
#define v_add _mm256_add_epi16
#define v_min _mm256_min_epi16
#define v_max _mm256_max_epi16
#define v_left(a, n) _mm256_slli_epi16(a, n)
#define v_shift(a, n) _mm256_sll_epi16(a, _mm_cvtsi32_si128(n))
INLINE V v_narrow(const int32_t *p, int shift) {
    V n = _mm256_set1_epi32(shift);
    V a = _mm256_packs_epi32(_mm256_srav_epi32(v_load(p), n), _mm256_srav_epi32(v_load(p + 8), n));
    return _mm256_permute4x64_epi64(a, 0xD8);
}
INLINE Row row_of(const V *a) { return _mm256_permute4x64_epi64(_mm256_packs_epi16(a[0], a[1]), 0xD8); }
INLINE Row row_load(const int8_t *p) { return v_load(p); }
INLINE void row_store(int8_t *p, Row a) { v_store(p, a); }
/* vpmaddubsw multiplies unsigned bytes with signed ones and adds two products, which |x| * (w with the sign of x) lets
   fit into 16 bits: 2 * 128 * 127. So inputs are x, and after them |x|. */
INLINE void prepare(int8_t *to, int inputs, int i, Row a) {
    row_store(to + i, a);
    row_store(to + inputs + i, _mm256_abs_epi8(a));
}
INLINE V pairs_of(const int8_t *four, int64_t sizes, const int8_t *levels, int flags) {
    V signs = _mm256_set1_epi32(*(const Four *)four), w = v_load(levels);
    if (flags & POSITIVE) return _mm256_maddubs_epi16(signs, w);
    return _mm256_maddubs_epi16(_mm256_set1_epi32(*(const Four *)(four + sizes)), _mm256_sign_epi8(w, signs));
}
INLINE void tile(const Matrix *m, int j, const int32_t *begin, int step, const int8_t *x, int64_t stride, int64_t sizes,
                 int32_t *sums, int lanes, int vectors, int flags) {
    const V one = _mm256_set1_epi16(1);
    const int quads = flags & PAIRED ? 2 : 1;
    Sums s[10];
    UNROLL for (int n = 0; n < lanes; n++)
        UNROLL for (int v = 0; v < vectors; v++) s[n * vectors + v] = *(const Sums *)(begin + n * step + j + 8 * v);
    const int8_t *row = m->levels + 4 * j;
    for (int i = 0; i < m->inputs; i += 4 * quads, row += 4 * quads * m->outputs)
        UNROLL for (int n = 0; n < lanes; n++)
            UNROLL for (int v = 0; v < vectors; v++) {
                const int8_t *four = x + n * stride + i;
                V pairs = pairs_of(four, sizes, row + 32 * v, flags);
                if (flags & PAIRED)
                    pairs = _mm256_add_epi16(pairs, pairs_of(four + 4, sizes, row + 4 * m->outputs + 32 * v, flags));
                s[n * vectors + v] += (Sums)_mm256_madd_epi16(pairs, one);
            }
    UNROLL for (int n = 0; n < lanes; n++)
        UNROLL for (int v = 0; v < vectors; v++) *(Sums *)(sums + n * m->outputs + j + 8 * v) = s[n * vectors + v];
}
enum { WORDS = 8, MOST_1 = 10, MOST_2 = 4, MOST_4 = 2 };

#elif !defined(PORTABLE) && defined(__wasm_simd128__)
#include <wasm_simd128.h>
#define INSTRUCTIONS "wasm-simd128"
enum { VN = 8, PREPARED = 1 };
typedef v128_t V;
#define v_load(p) wasm_v128_load(p)
#define v_store(p, a) wasm_v128_store(p, a)
#define v_set(x) wasm_i16x8_splat(x)
#define v_mulhrs wasm_i16x8_q15mulr_sat
#define v_add wasm_i16x8_add
#define v_min wasm_i16x8_min
#define v_max wasm_i16x8_max
#define v_left(a, n) wasm_i16x8_shl(a, n)
#define v_shift(a, n) wasm_i16x8_shl(a, n)
INLINE V v_narrow(const int32_t *p, int shift) {
    return wasm_i16x8_narrow_i32x4(wasm_i32x4_shr(v_load(p), shift), wasm_i32x4_shr(v_load(p + 4), shift));
}
typedef struct { V a, b; } Row;
INLINE Row row_of(const V *a) {
    return (Row){wasm_i8x16_narrow_i16x8(a[0], a[1]), wasm_i8x16_narrow_i16x8(a[2], a[3])};
}
INLINE Row row_load(const int8_t *p) { return (Row){v_load(p), v_load(p + 16)}; }
INLINE void row_store(int8_t *p, Row a) {
    v_store(p, a.a);
    v_store(p + 16, a.b);
}
INLINE void tile(const Matrix *m, int j, const int32_t *begin, int step, const int8_t *x, int64_t stride, int64_t sizes,
                 int32_t *sums, int lanes, int vectors, int flags) {
    (void)flags, (void)sizes;
    UNROLL for (int n = 0; n < lanes; n++) {
        V s[8];
        UNROLL for (int v = 0; v < 2 * vectors; v++) s[v] = wasm_i32x4_splat(0);
        const int8_t *row = m->levels + 4 * j;
        for (int i = 0; i < m->inputs / 4; i++, row += 4 * m->outputs) {
            V four = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(x + n * stride + 4 * i));
            UNROLL for (int v = 0; v < 2 * vectors; v++)
                s[v] = wasm_i32x4_add(s[v], wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(row + 8 * v), four));
        }
        UNROLL for (int v = 0; v < vectors; v++) {
            V even = wasm_i32x4_shuffle(s[2 * v], s[2 * v + 1], 0, 2, 4, 6);
            V odd = wasm_i32x4_shuffle(s[2 * v], s[2 * v + 1], 1, 3, 5, 7);
            V total = wasm_i32x4_add(wasm_i32x4_add(even, odd), v_load(begin + n * step + j + 4 * v));
            v_store(sums + n * m->outputs + j + 4 * v, total);
        }
    }
}
enum { WORDS = 4, MOST_1 = 4, MOST_2 = 4, MOST_4 = 4 };

#elif !defined(PORTABLE) && defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#ifdef __ARM_FEATURE_DOTPROD
#define INSTRUCTIONS "neon-dotprod"
#else
#define INSTRUCTIONS "neon"
#endif
enum { VN = 8, PREPARED = 1 };
typedef int16x8_t V;
typedef int8x16x2_t Row;
#define v_load(p) vld1q_s16(p)
#define v_store(p, a) vst1q_s16(p, a)
#define v_set(x) vdupq_n_s16(x)
#define v_mulhrs vqrdmulhq_s16
#define v_add vaddq_s16
#define v_min vminq_s16
#define v_max vmaxq_s16
#define v_left(a, n) vshlq_n_s16(a, n)
#define v_shift(a, n) vshlq_s16(a, vdupq_n_s16((int16_t)(n)))
INLINE V v_narrow(const int32_t *p, int shift) {
    int32x4_t n = vdupq_n_s32(-shift);
    return vcombine_s16(vqmovn_s32(vshlq_s32(vld1q_s32(p), n)), vqmovn_s32(vshlq_s32(vld1q_s32(p + 4), n)));
}
INLINE Row row_of(const V *a) {
    return (Row){{vcombine_s8(vqmovn_s16(a[0]), vqmovn_s16(a[1])), vcombine_s8(vqmovn_s16(a[2]), vqmovn_s16(a[3]))}};
}
INLINE Row row_load(const int8_t *p) { return (Row){{vld1q_s8(p), vld1q_s8(p + 16)}}; }
INLINE void row_store(int8_t *p, Row a) {
    vst1q_s8(p, a.val[0]);
    vst1q_s8(p + 16, a.val[1]);
}
INLINE void tile(const Matrix *m, int j, const int32_t *begin, int step, const int8_t *x, int64_t stride, int64_t sizes,
                 int32_t *sums, int lanes, int vectors, int flags) {
    (void)flags, (void)sizes;
    UNROLL for (int n = 0; n < lanes; n++) {
        const int8_t *row = m->levels + 4 * j;
        const Four *fours = (const Four *)(x + n * stride);
#ifdef __ARM_FEATURE_DOTPROD
        int32x4_t s[8];
        UNROLL for (int v = 0; v < vectors; v++) s[v] = vld1q_s32(begin + n * step + j + 4 * v);
        for (int i = 0; i < m->inputs / 4; i++, row += 4 * m->outputs)
            UNROLL for (int v = 0; v < vectors; v++)
                s[v] = vdotq_s32(s[v], vld1q_s8(row + 16 * v), vreinterpretq_s8_s32(vdupq_n_s32(fours[i])));
        UNROLL for (int v = 0; v < vectors; v++) vst1q_s32(sums + n * m->outputs + j + 4 * v, s[v]);
#else
        int32x4_t s[16];
        UNROLL for (int v = 0; v < 2 * vectors; v++) s[v] = vdupq_n_s32(0);
        for (int i = 0; i < m->inputs / 4; i++, row += 4 * m->outputs)
            UNROLL for (int v = 0; v < 2 * vectors; v++)
                s[v] = vpadalq_s16(s[v], vmull_s8(vld1_s8(row + 8 * v), vreinterpret_s8_s32(vdup_n_s32(fours[i]))));
        UNROLL for (int v = 0; v < vectors; v++)
            vst1q_s32(sums + n * m->outputs + j + 4 * v,
                      vaddq_s32(vpaddq_s32(s[2 * v], s[2 * v + 1]), vld1q_s32(begin + n * step + j + 4 * v)));
#endif
    }
}
enum { WORDS = 4, MOST_1 = 8, MOST_2 = 8, MOST_4 = 8 };

#else
#undef PORTABLE
#define PORTABLE
#define INSTRUCTIONS "portable"
enum { VN = 1, PREPARED = 1 };
typedef int16_t V;
typedef struct { int8_t x[ROW]; } Row;
INLINE int32_t limited(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }
#define v_load(p) (*(p))
#define v_store(p, a) (*(p) = (a))
#define v_set(x) ((int16_t)(x))
INLINE V v_mulhrs(V a, V b) { return (int16_t)((a * b + 0x4000) >> 15); }
INLINE V v_add(V a, V b) { return (int16_t)(a + b); }
INLINE V v_min(V a, V b) { return a < b ? a : b; }
INLINE V v_max(V a, V b) { return a > b ? a : b; }
#define v_left(a, n) ((int16_t)((uint16_t)(a) << (n)))
#define v_shift v_left
INLINE V v_narrow(const int32_t *p, int shift) { return (int16_t)limited(*p >> shift, -32768, 32767); }
INLINE Row row_of(const V *a) {
    Row row;
    for (int i = 0; i < ROW; i++) row.x[i] = (int8_t)limited(a[i], -128, 127);
    return row;
}
INLINE Row row_load(const int8_t *p) { return *(const Row *)p; }
INLINE void row_store(int8_t *p, Row a) { *(Row *)p = a; }
enum { WORDS = 16, MOST_1 = 1, MOST_2 = 1, MOST_4 = 1 };
INLINE void tile(const Matrix *m, int j, const int32_t *begin, int step, const int8_t *x, int64_t stride, int64_t sizes,
                 int32_t *sums, int lanes, int vectors, int flags) {
    (void)flags, (void)sizes, (void)vectors;
    for (int n = 0; n < lanes; n++) {
        const int8_t *row = m->levels + 4 * j;
        int32_t s[WORDS];
        for (int k = 0; k < WORDS; k++) s[k] = begin[n * step + j + k];
        for (int i = 0; i < m->inputs; i += 4, row += 4 * m->outputs)
            for (int k = 0; k < WORDS; k++)
                for (int q = 0; q < 4; q++) s[k] += x[n * stride + i + q] * row[4 * k + q];
        for (int k = 0; k < WORDS; k++) sums[n * m->outputs + j + k] = s[k];
    }
}
#endif

#if defined(__wasm_simd128__) || defined(__ARM_NEON) || defined(PORTABLE)
INLINE void prepare(int8_t *to, int inputs, int i, Row a) {
    (void)inputs;
    row_store(to + i, a);
}
#endif

/* The bytes of an expression of ``i``, computed VN numbers at a time for a row of ROW. */
#define ROW_OF(row, expression)                                                         \
    Row row;                                                                            \
    do {                                                                                \
        V a_[ROW / VN];                                                                 \
        ROWS_UNROLLED for (int i = 0; i < ROW; i += VN) a_[i / VN] = (expression);      \
        row = row_of(a_);                                                               \
    } while (0)
#ifdef PORTABLE
#define ROWS_UNROLLED
#else
#define ROWS_UNROLLED UNROLL
#endif

/* A tile of each size is a function of its own: in a larger one gcc does not keep all sums in registers. */
#define TILE(lanes, vectors)                                                                                       \
    static __attribute__((noinline, unused)) void tile_##lanes##_##vectors(                                        \
        const Matrix *m, int j, const int32_t *begin, int step, const int8_t *x, int64_t stride, int64_t sizes,    \
        int32_t *sums, int flags) {                                                                                \
        if (flags == 0) tile(m, j, begin, step, x, stride, sizes, sums, lanes, vectors, 0);                        \
        if (flags == PAIRED) tile(m, j, begin, step, x, stride, sizes, sums, lanes, vectors, PAIRED);              \
        if (flags == POSITIVE) tile(m, j, begin, step, x, stride, sizes, sums, lanes, vectors, POSITIVE);          \
        if (flags == (POSITIVE | PAIRED))                                                                          \
            tile(m, j, begin, step, x, stride, sizes, sums, lanes, vectors, POSITIVE | PAIRED);                    \
    }
TILE(1, 16) TILE(1, 10) TILE(1, 8) TILE(1, 4) TILE(1, 2) TILE(1, 1)
TILE(2, 10) TILE(2, 5) TILE(2, 4) TILE(2, 2) TILE(2, 1)
TILE(4, 5) TILE(4, 4) TILE(4, 2) TILE(4, 1)
#undef TILE

/* sums[n] = begin[n * step] + x[n * stride ...] @ levels for n below lanes (1, 2 or 4, known where it is compiled), exact.

   Inputs are a multiple of 4 and outputs one of 16. Windows may overlap; ``sizes`` is where |x| lies behind x, if it is
   prepared. Tiles of sums stay in registers over all inputs; each weight that is read serves all lanes. ``flags`` let AVX2
   take fewer instructions: POSITIVE inputs need no signs; of PAIRED levels, what inputs 8 k + (0, 1, 4, 5) and 8 k +
   (2, 3, 6, 7) have for an output adds up to at most 255, so that four products fit into 16 bits. */
INLINE void window_product(const Matrix *m, const int32_t *begin, int step, const int8_t *x, int64_t stride, int64_t sizes,
                           int32_t *sums, int lanes, int flags) {
    int j = 0;
#define TILES(lanes, vectors)                                                            \
    for (; m->outputs - j >= (vectors) * WORDS; j += (vectors) * WORDS)                  \
        tile_##lanes##_##vectors(m, j, begin, step, x, stride, sizes, sums, flags)
#define TENTHS (m->outputs % (10 * WORDS) == 0)
    if (lanes == 1) {
        if (MOST_1 >= 10 && TENTHS) TILES(1, 10);
        if (MOST_1 >= 16) TILES(1, 16);
        if (MOST_1 >= 8) TILES(1, 8);
        if (MOST_1 >= 4) TILES(1, 4);
        if (MOST_1 >= 2) TILES(1, 2);
        TILES(1, 1);
    } else if (lanes == 2) {
        if (MOST_2 >= 10 && TENTHS) TILES(2, 10);
        if (MOST_2 >= 5 && TENTHS) TILES(2, 5);
        if (MOST_2 >= 4) TILES(2, 4);
        if (MOST_2 >= 2) TILES(2, 2);
        TILES(2, 1);
    } else {
        if (MOST_4 >= 5 && TENTHS) TILES(4, 5);
        if (MOST_4 >= 4) TILES(4, 4);
        if (MOST_4 >= 2) TILES(4, 2);
        TILES(4, 1);
    }
#undef TILES
#undef TENTHS
}

/* The same of rows that have been prepared one by one. */
INLINE void product(const Matrix *m, const int32_t *begin, int step, const int8_t *x, int32_t *sums, int lanes,
                    int flags) {
    window_product(m, begin, step, x, PREPARED * m->inputs, m->inputs, sums, lanes, flags);
}

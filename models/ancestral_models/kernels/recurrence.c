/* The element-wise passes of PixelRNN's LSTMs, for training on a CPU: one step of the recurrence, forwards and backwards
   (networks/pixelrnn.py, whose Order says what a step is).

   All arrays of a direction d lie behind those of the one before. ``sizes``: directions, positions, pictures, features,
   taps, the tap whose cell is carried on, and the most rows (a position of a picture) that a step has. */
#include "export.h"
#include "floats.h"

typedef struct {
    int64_t directions, positions, batch, size, taps, carried, most;
} Sizes;
typedef struct { /* a step: its first position, the first of the step that follows, and the end of that one */
    const int64_t *pixels, *targets, *before;
    int64_t first, last, following;
} Step;

/* Where the numbers of a position are, of a direction and a picture: in the states, the gates, and a step's rows. */
INLINE int64_t state_at(const Sizes *s, int64_t d, int64_t m, int64_t b) {
    return ((d * s->positions + m) * s->batch + b) * s->size;
}
INLINE int64_t gates_at(const Sizes *s, const Step *p, int64_t d, int64_t m, int64_t b) {
    return ((p->pixels[d * s->positions + m] * s->batch + b) * s->directions + d) * 4 * s->size;
}
INLINE int64_t row_at(const Sizes *s, int64_t d, int64_t m, int64_t b) { return d * s->most + m * s->batch + b; }
#define EACH_ROW(first, last)                              \
    for (int64_t d = 0; d < s->directions; d++)            \
        for (int64_t m = (first); m < (last); m++)         \
            for (int64_t b = 0; b < s->batch; b++)

INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
/* A few numbers, for which a call of the C library's would take longer than the copy. */
INLINE void copy(const float *from, float *to, int64_t size) {
    int64_t j = 0;
    for (; j + LANE <= size; j += LANE) *(Floats *)(to + j) = *(const Floats *)(from + j);
    for (; j < size; j++) to[j] = from[j];
}
INLINE void clear(float *to, int64_t size) {
    int64_t j = 0;
    for (; j + LANE <= size; j += LANE) *(Floats *)(to + j) = (Floats){0};
    for (; j < size; j++) to[j] = 0.0f;
}

/* The states that the gates of positions first ... last see. */
static void see(const Sizes *s, const int64_t *before, int64_t first, int64_t last, const float *states, float *windows) {
    EACH_ROW(first, last)
        for (int64_t tap = 0; tap < s->taps; tap++) {
            float *window = windows + (row_at(s, d, m - first, b) * s->taps + tap) * s->size;
            int64_t seen = before[m * s->taps + tap];
            if (seen >= 0)
                copy(states + state_at(s, d, seen, b), window, s->size);
            else
                clear(window, s->size);
        }
}

static void cell(const Sizes *s, float *restrict gates, const float *restrict sums, const float *old, float *restrict cells,
                 float *restrict states) {
    int64_t size = s->size;
    for (int64_t j = 0; j < size; j++) gates[j] = tanh_of(gates[j] + sums[j]);
    for (int64_t j = size; j < 4 * size; j++) gates[j] = sigmoid_of(gates[j] + sums[j]);
    const float *into = gates + size, *out = gates + 2 * size, *keep = gates + 3 * size;
    for (int64_t j = 0; j < size; j++) cells[j] = into[j] * gates[j];
    for (int64_t j = 0; old && j < size; j++) cells[j] += keep[j] * old[j];
    for (int64_t j = 0; j < size; j++) states[j] = out[j] * tanh_of(cells[j]);
}

/* The states of one step, and the windows of the one that follows. */
EXPORT(recurrence_step)
void recurrence_step(const int64_t *sizes, const int64_t *pixels, const int64_t *targets, const int64_t *before,
                     int64_t first, int64_t last, int64_t following, float *gates, const float *sums, float *cells,
                     float *states, float *windows, float *outputs) {
    const Sizes *s = (const Sizes *)sizes;
    const Step step = {pixels, targets, before, first, last, following};
    EACH_ROW(first, last) {
        int64_t own = state_at(s, d, m, b), old = before[m * s->taps + s->carried], target = targets[d * s->positions + m];
        cell(s, gates + gates_at(s, &step, d, m, b), sums + row_at(s, d, m - first, b) * 4 * s->size,
             old >= 0 ? cells + state_at(s, d, old, b) : 0, cells + own, states + own);
        float *output = outputs + (target * s->batch + b) * s->size;
        for (int64_t j = 0; target >= 0 && j < s->size; j++) output[j] += states[own + j];
    }
    see(s, before, last, following, states, windows);
}

/* The gradients of the gates and, times ``kept``, of the cell before, from those of a state and of its cell. */
static void cell_back(const Sizes *s, float *restrict gates, const float *restrict cells, const float *restrict old,
                      float kept, const float *restrict into_state, const float *restrict into_cell,
                      float *restrict into_gates, float *restrict carried_back) {
    int64_t size = s->size;
    for (int64_t j = 0; j < size; j++) {
        float candidate = gates[j], into = gates[size + j], out = gates[2 * size + j], keep = gates[3 * size + j];
        float shown = tanh_of(cells[j]), grad = into_state[j];
        float grad_cell = into_cell[j] + grad * out * (1.0f - shown * shown);
        into_gates[j] = grad_cell * into * (1.0f - candidate * candidate);
        into_gates[size + j] = grad_cell * candidate * into * (1.0f - into);
        into_gates[2 * size + j] = grad * shown * out * (1.0f - out);
        into_gates[3 * size + j] = kept * grad_cell * old[j] * keep * (1.0f - keep);
        carried_back[j] = grad_cell * keep;
    }
    copy(into_gates, gates, 4 * size);
}

/* The gradients of one step, from those of the one that follows (``into_windows``, ``carried_back``); the gates are
   overwritten with theirs. */
EXPORT(recurrence_step_back)
void recurrence_step_back(const int64_t *sizes, const int64_t *pixels, const int64_t *targets, const int64_t *before,
                          int64_t first, int64_t last, int64_t following, const float *grad_outputs, float *gates,
                          const float *cells, const float *states, float *windows, float *into_gates,
                          const float *into_windows, float *into_states, float *into_cells, float *carried_back) {
    const Sizes *s = (const Sizes *)sizes;
    const Step step = {pixels, targets, before, first, last, following};
    see(s, before, first, last, states, windows);
    EACH_ROW(first, last) {
        int64_t own = row_at(s, d, m - first, b) * s->size, target = targets[d * s->positions + m];
        if (target >= 0)
            copy(grad_outputs + (target * s->batch + b) * s->size, into_states + own, s->size);
        else
            clear(into_states + own, s->size);
        clear(into_cells + own, s->size);
    }
    EACH_ROW(last, following)
        for (int64_t tap = 0; tap < s->taps; tap++) {
            int64_t seen = before[m * s->taps + tap], later = row_at(s, d, m - last, b);
            if (seen < 0) continue;
            int64_t own = row_at(s, d, seen - first, b) * s->size;
            const float *window = into_windows + (later * s->taps + tap) * s->size, *back = carried_back + later * s->size;
            for (int64_t j = 0; j < s->size; j++) into_states[own + j] += window[j];
            for (int64_t j = 0; tap == s->carried && j < s->size; j++) into_cells[own + j] += back[j];
        }
    EACH_ROW(first, last) {
        int64_t own = row_at(s, d, m - first, b), old = before[m * s->taps + s->carried];
        cell_back(s, gates + gates_at(s, &step, d, m, b), cells + state_at(s, d, m, b),
                  cells + state_at(s, d, larger(old, 0), b), old >= 0, into_states + own * s->size, into_cells + own * s->size,
                  into_gates + own * 4 * s->size, carried_back + own * s->size);
    }
}

/* The gated activation unit of WaveNet and its gradient, for training on a CPU (networks/gate.py).

   Row n has the bias of frame n / hop; its two halves are a and b of tanh(a) * sigmoid(b). Gated rows lie ``stride``
   numbers apart, from number ``first`` on: they may be columns of a wider matrix. */
#include "export.h"
#include "floats.h"

EXPORT(gate_forward)
void gate_forward(const float *restrict z, const float *restrict bias, int64_t rows, int64_t half, int64_t hop,
                  float *restrict activation, float *restrict gated, int64_t first, int64_t stride) {
    gated += first;
    for (int64_t n = 0; n < rows; n++, z += 2 * half, activation += 2 * half, gated += stride) {
        const float *own = bias + n / hop * 2 * half;
        for (int64_t j = 0; j < half; j++) {
            float a = tanh_of(z[j] + own[j]), b = sigmoid_of(z[j + half] + own[j + half]);
            activation[j] = a, activation[j + half] = b, gated[j] = a * b;
        }
    }
}

EXPORT(gate_backward)
void gate_backward(const float *restrict activation, const float *restrict grad, int64_t rows, int64_t half, int64_t hop,
                   float *restrict grad_z, float *restrict grad_bias) {
    memset(grad_bias, 0, (size_t)((rows + hop - 1) / hop * 2 * half) * sizeof(float));
    for (int64_t n = 0; n < rows; n++, activation += 2 * half, grad_z += 2 * half, grad += half) {
        float *own = grad_bias + n / hop * 2 * half;
        for (int64_t j = 0; j < half; j++) {
            float a = activation[j], b = activation[j + half], g = grad[j];
            float into_a = g * b * (1.0f - a * a), into_b = g * a * b * (1.0f - b);
            grad_z[j] = into_a, grad_z[j + half] = into_b;
            own[j] += into_a, own[j + half] += into_b;
        }
    }
}

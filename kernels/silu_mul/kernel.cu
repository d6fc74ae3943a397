// y[r, i] = silu(gate_up[r, i]) * gate_up[r, n + i] with silu(x) = x / (1 + exp(-x)), i in 0..n
//
// Layout: gate_up [t, 2n], the gates first, y [t, n], of one type; arithmetic in f32.
//
// Launch: blockIdx.x is the row, blockIdx.y the part of it, a thread a pack of `N` elements.
//
// Limits: with `N` above 1, n is a multiple of `N` and rows begin at addresses of `N` elements.
#include "../device/floats.cuh"

template <class T, unsigned N>
__device__ void silu_mul(const T* __restrict__ gate_up, T* __restrict__ y, unsigned n) {
    const unsigned i = (blockIdx.y * blockDim.x + threadIdx.x) * N;
    if (i >= n) return;
    const T* row = gate_up + size_t(blockIdx.x) * 2 * n;
    Pack<T, N> gate = load<N>(row + i);
    const Pack<T, N> up = load<N>(row + n + i);
#pragma unroll
    for (unsigned j = 0; j < N; j++) {
        const float x = to_f32(gate.at[j]);
        gate.at[j] = from_f32<T>(x / (1 + __expf(-x)) * to_f32(up.at[j]));
    }
    store(y + size_t(blockIdx.x) * n + i, gate);
}

#define KERNELS(suffix, T, N)                                                               \
    extern "C" __global__ void silu_mul_##suffix(const T* gate_up, T* y, unsigned n) {      \
        silu_mul<T, N>(gate_up, y, n);                                                      \
    }                                                                                       \
    ENTRY(silu_mul_##suffix)

KERNELS(f32, float, 4)
KERNELS(f16, f16, 8)
KERNELS(bf16, bf16, 8)
KERNELS(f32_single, float, 1)
KERNELS(f16_single, f16, 1)
KERNELS(bf16_single, bf16, 1)

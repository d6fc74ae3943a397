// y[r] = table[tokens[r]]
//
// Layout: table [v, h], tokens [t], y [t, h] of the table's type.
//
// Launch: a block for each row, whose threads copy packs of `N` elements.
//
// Limits: with `N` above 1, h is a multiple of `N` and rows begin at addresses of `N` elements. A
// token outside the table makes its row NaN: the host does not see tokens that were drawn on the
// device, and a broken row must show.
#include "../device/floats.cuh"

template <class T, unsigned N>
__device__ void embed(const T* __restrict__ table, const unsigned* __restrict__ tokens,
                      T* __restrict__ y, unsigned v, unsigned h) {
    const unsigned token = tokens[blockIdx.x];
    for (unsigned i = threadIdx.x * N; i < h; i += blockDim.x * N) {
        Pack<T, N> pack;
        if (token < v) {
            pack = load<N>(table + size_t(token) * h + i);
        } else {
#pragma unroll
            for (unsigned j = 0; j < N; j++) pack.at[j] = from_f32<T>(INFINITE - INFINITE);
        }
        store(y + size_t(blockIdx.x) * h + i, pack);
    }
}

#define KERNELS(suffix, T, N)                                                                    \
    extern "C" __global__ void embed_##suffix(const T* table, const unsigned* tokens, T* y,      \
                                              unsigned v, unsigned h) {                          \
        embed<T, N>(table, tokens, y, v, h);                                                     \
    }                                                                                            \
    ENTRY(embed_##suffix)

KERNELS(f32, float, 4)
KERNELS(f16, f16, 8)
KERNELS(bf16, bf16, 8)
KERNELS(f32_single, float, 1)
KERNELS(f16_single, f16, 1)
KERNELS(bf16_single, bf16, 1)

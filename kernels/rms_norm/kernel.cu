// y = x / sqrt(mean(x^2) + eps) * w, row by row; the other kernel adds a residual first and keeps
// the sum.
//
//   sum[r] = x[r] + residual[r]                                        (only `add_rms_norm`)
//   y[r, i] = sum[r, i] * rsqrt(mean_i(sum[r, i]^2) + eps) * w[i]
//
// Layout: x, residual, sum and y [t, h], w [h], all of one type. The sum is rounded to that type
// before it is squared, as the layers after it will see it.
//
// Launch: a block for each row. A thread reads its packs of `N` elements twice, the second time
// from the nearest cache: kept in registers they would bound h. Squares are f32, summed by thread,
// then by warp, then by block, so that a row's bits depend on that row and h alone.
//
// Limits: with `N` above 1, h is a multiple of `N` and rows begin at addresses of `N` elements.
#include "../device/floats.cuh"
#include "../device/reduce.cuh"

template <class T, unsigned N, bool ADD>
__device__ void rms_norm(const T* __restrict__ x, const T* __restrict__ residual,
                         const T* __restrict__ w, T* __restrict__ y, T* sum, unsigned h,
                         float eps) {
    DYNAMIC_SHARED(shared);
    const size_t row = size_t(blockIdx.x) * h;
    // Each thread reads back its own part of the sum, so no barrier stands between.
    const T* source = ADD ? sum + row : x + row;
    float squares = 0;
    for (unsigned i = threadIdx.x * N; i < h; i += blockDim.x * N) {
        Pack<T, N> pack = load<N>(x + row + i);
        if (ADD) {
            const Pack<T, N> more = load<N>(residual + row + i);
#pragma unroll
            for (unsigned j = 0; j < N; j++) {
                pack.at[j] = from_f32<T>(to_f32(pack.at[j]) + to_f32(more.at[j]));
            }
            store(sum + row + i, pack);
        }
#pragma unroll
        for (unsigned j = 0; j < N; j++) squares += to_f32(pack.at[j]) * to_f32(pack.at[j]);
    }
    squares = block_reduce<Add>(squares, 0.0f, reinterpret_cast<float*>(shared));
    const float scale = rsqrtf(squares / h + eps);
    for (unsigned i = threadIdx.x * N; i < h; i += blockDim.x * N) {
        Pack<T, N> pack = load<N>(source + i);
        const Pack<T, N> factor = load<N>(w + i);
#pragma unroll
        for (unsigned j = 0; j < N; j++) {
            pack.at[j] = from_f32<T>(to_f32(pack.at[j]) * scale * to_f32(factor.at[j]));
        }
        store(y + row + i, pack);
    }
}

#define KERNELS(suffix, T, N)                                                                    \
    extern "C" __global__ void rms_norm_##suffix(const T* x, const T* w, T* y, unsigned h,       \
                                                 float eps) {                                    \
        rms_norm<T, N, false>(x, nullptr, w, y, nullptr, h, eps);                                \
    }                                                                                            \
    ENTRY(rms_norm_##suffix)                                                                     \
    extern "C" __global__ void add_rms_norm_##suffix(const T* x, const T* residual, const T* w,  \
                                                     T* y, T* sum, unsigned h, float eps) {      \
        rms_norm<T, N, true>(x, residual, w, y, sum, h, eps);                                    \
    }                                                                                            \
    ENTRY(add_rms_norm_##suffix)

KERNELS(f32, float, 4)
KERNELS(f16, f16, 8)
KERNELS(bf16, bf16, 8)
KERNELS(f32_single, float, 1)
KERNELS(f16_single, f16, 1)
KERNELS(bf16_single, bf16, 1)

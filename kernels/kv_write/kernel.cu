// Stores keys and values in the paged pool; fused with the rotation it also returns the queries.
//
//   q[r, head] = rotate(qkv[r, head])                                  head in 0..hq
//   k_pool[slots[r], head] = rotate(qkv[r, hq + head])                 head in 0..hkv
//   v_pool[slots[r], head] = qkv[r, hq + hkv + head]                   head in 0..hkv
//   rotate(x)[i]       = x[i] * cos[r, i] - x[i + d/2] * sin[r, i]     i in 0..d/2
//   rotate(x)[i + d/2] = x[i + d/2] * cos[r, i] + x[i] * sin[r, i]
//
// Layout: qkv [t, (hq + 2 hkv) d], cos and sin [t, d/2] f32, slots [t], q [t, hq, d], pools
// [slots, hkv, d]; `kv_write` takes k and v as [t, hkv, d]. All row-major, of one type but for the
// angles, which are f32.
//
// Launch: a block for each row, whose threads walk over the row's pairs of `N` elements: `N`
// neighbours of the first half of a head and their partners of the second. Each byte is read once
// and written once, so nothing is kept in shared memory.
//
// Limits: d even; slots within the pool, which the host has checked; with `N` above 1 the halves
// of a head (for `kv_write` the rows) are multiples of `N`, and addresses of `N` elements.
#include "../device/floats.cuh"

template <class T, unsigned N>
__device__ void rope_kv_write(const T* __restrict__ qkv, const float* __restrict__ cos,
                              const float* __restrict__ sin, const unsigned* __restrict__ slots,
                              T* __restrict__ q, T* __restrict__ k_pool, T* __restrict__ v_pool,
                              unsigned hq, unsigned hkv, unsigned d) {
    const unsigned row = blockIdx.x, half = d / 2, n_packs = half / N;
    const size_t slot = slots[row];
    const T* heads = qkv + size_t(row) * (hq + 2 * hkv) * d;
    for (unsigned unit = threadIdx.x; unit < (hq + 2 * hkv) * n_packs; unit += blockDim.x) {
        const unsigned head = unit / n_packs, i = unit % n_packs * N;
        Pack<T, N> first = load<N>(heads + head * d + i);
        Pack<T, N> second = load<N>(heads + head * d + half + i);
        T* target;
        if (head < hq) {
            target = q + (size_t(row) * hq + head) * d;
        } else if (head < hq + hkv) {
            target = k_pool + (slot * hkv + head - hq) * d;
        } else {
            target = v_pool + (slot * hkv + head - hq - hkv) * d;
        }
        if (head < hq + hkv) {
            // Angles are four bytes each, a pack of them sixteen.
            constexpr unsigned ANGLES = N < 4 ? N : 4;
#pragma unroll
            for (unsigned part = 0; part < N; part += ANGLES) {
                const size_t at = size_t(row) * half + i + part;
                const Pack<float, ANGLES> c = load<ANGLES>(cos + at), s = load<ANGLES>(sin + at);
#pragma unroll
                for (unsigned j = 0; j < ANGLES; j++) {
                    T& one = first.at[part + j];
                    T& other = second.at[part + j];
                    const float x = to_f32(one), y = to_f32(other);
                    one = from_f32<T>(x * c.at[j] - y * s.at[j]);
                    other = from_f32<T>(y * c.at[j] + x * s.at[j]);
                }
            }
        }
        store(target + i, first);
        store(target + half + i, second);
    }
}

template <class T, unsigned N>
__device__ void kv_write(const T* __restrict__ k, const T* __restrict__ v,
                         const unsigned* __restrict__ slots, T* __restrict__ k_pool,
                         T* __restrict__ v_pool, unsigned width) {
    const size_t source = size_t(blockIdx.x) * width, target = size_t(slots[blockIdx.x]) * width;
    for (unsigned i = threadIdx.x * N; i < width; i += blockDim.x * N) {
        store(k_pool + target + i, load<N>(k + source + i));
        store(v_pool + target + i, load<N>(v + source + i));
    }
}

#define KERNELS(suffix, T, N)                                                                     \
    extern "C" __global__ void rope_kv_write_##suffix(                                            \
        const T* qkv, const float* cos, const float* sin, const unsigned* slots, T* q, T* k_pool, \
        T* v_pool, unsigned hq, unsigned hkv, unsigned d) {                                       \
        rope_kv_write<T, N>(qkv, cos, sin, slots, q, k_pool, v_pool, hq, hkv, d);                 \
    }                                                                                             \
    ENTRY(rope_kv_write_##suffix)                                                                 \
    extern "C" __global__ void kv_write_##suffix(const T* k, const T* v, const unsigned* slots,   \
                                                 T* k_pool, T* v_pool, unsigned width) {          \
        kv_write<T, N>(k, v, slots, k_pool, v_pool, width);                                       \
    }                                                                                             \
    ENTRY(kv_write_##suffix)

KERNELS(f32, float, 4)
KERNELS(f16, f16, 8)
KERNELS(bf16, bf16, 8)
KERNELS(f32_single, float, 1)
KERNELS(f16_single, f16, 1)
KERNELS(bf16_single, bf16, 1)

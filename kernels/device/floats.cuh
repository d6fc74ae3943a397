// The float types of tensors and their conversion; all arithmetic is f32.
#pragma once
#include "kernel.cuh"

#ifdef __CUDACC__
using f16 = __half;
using bf16 = __nv_bfloat16;

__device__ __forceinline__ float to_f32(f16 x) { return __half2float(x); }
__device__ __forceinline__ float to_f32(bf16 x) { return __bfloat162float(x); }

template <class T>
__device__ __forceinline__ T from_f32(float x);
template <>
__device__ __forceinline__ f16 from_f32<f16>(float x) { return __float2half_rn(x); }
template <>
__device__ __forceinline__ bf16 from_f32<bf16>(float x) { return __float2bfloat16_rn(x); }
#else
#include "half_floats.h"

using f16 = emulated::F16;
using bf16 = emulated::Bf16;

inline float to_f32(f16 x) { return emulated::f16_to_f32(x.bits); }
inline float to_f32(bf16 x) { return emulated::bf16_to_f32(x.bits); }

template <class T>
T from_f32(float x);
template <>
inline f16 from_f32<f16>(float x) { return {emulated::f16_of_f32(x)}; }
template <>
inline bf16 from_f32<bf16>(float x) { return {emulated::bf16_of_f32(x)}; }
#endif

__device__ __forceinline__ float to_f32(float x) { return x; }
template <>
__device__ __forceinline__ float from_f32<float>(float x) { return x; }

// `N` neighbouring elements, moved by one instruction: `N * sizeof(T)` is at most 16 and the
// address a multiple of it.
template <class T, unsigned N>
struct __align__(sizeof(T) * N) Pack {
    T at[N];
};

template <unsigned N, class T>
__device__ __forceinline__ Pack<T, N> load(const T* from) {
    EXPECT_ALIGNED(from, sizeof(Pack<T, N>));
    return *reinterpret_cast<const Pack<T, N>*>(from);
}

template <unsigned N, class T>
__device__ __forceinline__ void store(T* to, const Pack<T, N>& pack) {
    EXPECT_ALIGNED(to, sizeof(Pack<T, N>));
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// Two elements in one register, the first in the low half, as tensor cores take them.
template <class T>
__device__ __forceinline__ unsigned pair_of(float first, float second) {
    const T pair[2] = {from_f32<T>(first), from_f32<T>(second)};
    unsigned word;
    memcpy(&word, pair, sizeof word);
    return word;
}

// Writes two neighbouring 16-bit elements at once.
template <class T>
__device__ __forceinline__ void store_pair(T* to, float first, float second) {
    EXPECT_ALIGNED(to, sizeof(unsigned));
    *reinterpret_cast<unsigned*>(to) = pair_of<T>(first, second);
}

constexpr float INFINITE = __builtin_huge_valf();

// Sums and maxima over a warp or a block, in an order that depends on the launch shape only.
#pragma once
#include "kernel.cuh"

struct Add {
    template <class T>
    __device__ T operator()(T a, T b) const { return a + b; }
};

struct Larger {
    template <class T>
    __device__ T operator()(T a, T b) const { return a < b ? b : a; }
};

struct Smaller {
    template <class T>
    __device__ T operator()(T a, T b) const { return b < a ? b : a; }
};

// Every lane gets the result.
template <class Op, class T>
__device__ __forceinline__ T warp_reduce(T x) {
#pragma unroll
    for (int mask = WARP / 2; mask > 0; mask /= 2) {
        x = Op()(x, __shfl_xor_sync(ALL_LANES, x, mask));
    }
    return x;
}

// Every thread gets the result. `partial` is shared memory for one value a warp, which may not be
// written again before the next barrier; `none` is what the operation leaves others unchanged by.
template <class Op, class T>
__device__ __forceinline__ T block_reduce(T x, T none, T* partial) {
    x = warp_reduce<Op>(x);
    if (lane_idx() == 0) partial[warp_idx()] = x;
    BARRIER();
    x = lane_idx() < blockDim.x / WARP ? partial[lane_idx()] : none;
    return warp_reduce<Op>(x);
}

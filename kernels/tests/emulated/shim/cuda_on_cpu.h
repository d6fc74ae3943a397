// The part of CUDA that our kernels use, for a C++ compiler: what `device/kernel.cuh` includes when
// nvcc is not compiling. Kernels run unchanged, one thread after another, each launch from an entry
// that takes its arguments as a CUDA launch does.
//
// Only full warps and full-warp functions: `device/` offers no others. Not emulated: the memory
// order between threads beyond barriers, rounding modes, and any timing.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "fibers.h"
#include "launch.h"
#include "tensor_core.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

#define threadIdx (emulated::thread_idx())
#define blockIdx (emulated::machine.block_idx)
#define blockDim (emulated::block_dim())
#define gridDim (emulated::machine.grid)

struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

namespace emulated {

inline Dim3 thread_idx() { return {here().thread_idx, 0, 0}; }
inline Dim3 block_dim() { return {machine.n_threads, 1, 1}; }

enum Kind { SHUFFLE, BALLOT, WARP_BARRIER, MMA, LDMATRIX, LDMATRIX_TRANSPOSED };

struct Exchange {
    uint64_t value;
    int source;
    uint64_t found;
};

// The value of another lane; a lane outside the warp gives one's own.
template <class T>
T shuffle(T value, int source) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    Exchange mine = {0, source, 0};
    memcpy(&mine.value, &value, sizeof value);
    collective<Exchange>(SHUFFLE, mine, [](Exchange* lanes[LANES]) {
        for (int lane = 0; lane < LANES; lane++) {
            int from = lanes[lane]->source;
            lanes[lane]->found = lanes[from >= 0 && from < LANES ? from : lane]->value;
        }
    });
    memcpy(&value, &mine.found, sizeof value);
    return value;
}

inline int lane() { return machine.current % LANES; }

inline unsigned ballot(bool vote) {
    Exchange mine = {vote, 0, 0};
    collective<Exchange>(BALLOT, mine, [](Exchange* lanes[LANES]) {
        uint64_t votes = 0;
        for (int lane = 0; lane < LANES; lane++) votes |= lanes[lane]->value << lane;
        for (int lane = 0; lane < LANES; lane++) lanes[lane]->found = votes;
    });
    return unsigned(mine.found);
}

inline void warp_barrier() {
    Exchange nothing = {};
    collective<Exchange>(WARP_BARRIER, nothing, [](Exchange**) {});
}

}  // namespace emulated

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return emulated::shuffle(value, emulated::lane() ^ mask);
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned delta) {
    return emulated::shuffle(value, emulated::lane() - int(delta));
}
template <class T>
T __shfl_sync(unsigned, T value, int source) {
    return emulated::shuffle(value, source % emulated::LANES);
}
inline unsigned __ballot_sync(unsigned, int vote) { return emulated::ballot(vote != 0); }

// One fiber runs at a time and none is interrupted, so a plain update is atomic.
template <class T>
T atomicAdd(T* at, T value) {
    T old = *at;
    *at = old + value;
    return old;
}
template <class T>
T atomicMin(T* at, T value) {
    T old = *at;
    if (value < old) *at = value;
    return old;
}
template <class T>
T atomicMax(T* at, T value) {
    T old = *at;
    if (value > old) *at = value;
    return old;
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline float __expf(float x) { return std::exp(x); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
// Four of the eight bytes of `low` and `high`, each named by a hexadecimal digit below 8.
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const uint64_t bytes = uint64_t(high) << 32 | low;
    unsigned out = 0;
    for (unsigned i = 0; i < 4; i++) {
        out |= unsigned(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
    }
    return out;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
// Without `-ffast-math` a C++ compiler for this machine rounds each operation anyway.
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return bits;
}
template <class T>
T min(T a, T b) { return b < a ? b : a; }
template <class T>
T max(T a, T b) { return a < b ? b : a; }

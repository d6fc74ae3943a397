// Finding a token by a running sum over a vocabulary, without sorting it.
//
// Whatever is summed is a whole number: counts, or weights as multiples of 2^-44. Such sums are the
// same in any order, so that the threads of a block may add in theirs and a draw is the same in
// every run.
#pragma once
#include "../device/floats.cuh"
#include "../device/reduce.cuh"

using Whole = unsigned long long;

// A weight of 1. A vocabulary of 2^19 tokens of weight 1 sums up to less than 2^64.
constexpr float UNIT = 17592186044416.0f;

// The digits by which keys are told apart: the likeliest first, 11 bits at a time.
constexpr unsigned N_DIGITS = 3, DIGIT_BITS = 11, N_BINS = 1 << DIGIT_BITS;

// Shared memory of the search.
struct Search {
    Whole bins[N_BINS];
    Whole warp_sums[WARP];
    // Where the running sum reaches its goal, and what was passed before.
    unsigned place;
    Whole passed;
};

// Bits that are in the order of the floats.
__device__ __forceinline__ unsigned key_of(float x) {
    const unsigned bits = __float_as_uint(x);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float of_key(unsigned key) {
    return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key);
}

// Adds to a sum in shared memory that other threads add to. Two 32-bit additions are instructions of
// their own there, one of 64 bits is a loop.
__device__ __forceinline__ void add_shared(Whole* sum, Whole x) {
    unsigned* halves = reinterpret_cast<unsigned*>(sum);
    const unsigned low = unsigned(x);
    const unsigned carry = atomicAdd(&halves[0], low) > ~low;
    const unsigned high = unsigned(x >> 32) + carry;
    if (high) atomicAdd(&halves[1], high);
}

// The tokens that are left: those above `key`, and of equals those up to `tie`.
struct Cut {
    unsigned key, tie;

    __device__ __forceinline__ bool keeps(unsigned other, unsigned token) const {
        return other > key || (other == key && token <= tie);
    }
};

// The first of `n` bins, counted from the last when `backwards`, at which the running sum reaches
// `goal`. For one warp; bins must not be empty of it.
__device__ __forceinline__ void find_bin(Search& search, unsigned n, bool backwards, Whole goal) {
    const unsigned lane = lane_idx(), share = div_ceil(n, WARP);
    const auto bin = [&](unsigned i) {
        return i < n ? search.bins[backwards ? n - 1 - i : i] : 0;
    };
    Whole sum = 0;
    for (unsigned i = 0; i < share; i++) sum += bin(lane * share + i);
    Whole passed = sum;
#pragma unroll
    for (unsigned delta = 1; delta < WARP; delta *= 2) {
        const Whole before = __shfl_up_sync(ALL_LANES, passed, delta);
        if (lane >= delta) passed += before;
    }
    passed -= sum;
    // One lane's share holds the goal.
    if (passed >= goal || passed + sum < goal) return;
    unsigned i = lane * share;
    while (passed + bin(i) < goal) passed += bin(i++);
    search.place = backwards ? n - 1 - i : i;
    search.passed = passed;
}

// Logits that a thread reads before it uses the first: one block has a multiprocessor for itself, and
// nobody else to hide how long memory takes.
constexpr unsigned AHEAD = 4;

// Calls `f(logit, token)` for the tokens of this thread, which are every `blockDim.x`-th.
template <class T, class F>
__device__ __forceinline__ void each_token(const T* __restrict__ logits, unsigned v, F f) {
    for (unsigned start = threadIdx.x; start < v; start += AHEAD * blockDim.x) {
        float ahead[AHEAD];
#pragma unroll
        for (unsigned i = 0; i < AHEAD; i++) {
            const unsigned token = start + i * blockDim.x;
            ahead[i] = token < v ? to_f32(logits[token]) : 0;
        }
#pragma unroll
        for (unsigned i = 0; i < AHEAD; i++) {
            const unsigned token = start + i * blockDim.x;
            if (token < v) f(ahead[i], token);
        }
    }
}

// The key at which the running sum of `measure(key, token)` over falling keys reaches `goal`;
// `passed` is the sum over all larger keys. The sum over all tokens is at least `goal`.
template <class Measure>
__device__ unsigned find_key(Search& search, const float* logits, unsigned v, Whole goal,
                             Whole& passed, Measure measure) {
    unsigned found = 0, known = 0;
    passed = 0;
    for (unsigned digit = 0; digit < N_DIGITS; digit++) {
        const unsigned n_bits = digit + 1 < N_DIGITS ? DIGIT_BITS : 32 - 2 * DIGIT_BITS;
        const unsigned shift = digit + 1 < N_DIGITS ? 32 - (digit + 1) * DIGIT_BITS : 0;
        const unsigned n_bins = 1u << n_bits;
        for (unsigned i = threadIdx.x; i < n_bins; i += blockDim.x) search.bins[i] = 0;
        BARRIER();
        each_token(logits, v, [&](float logit, unsigned token) {
            const unsigned key = key_of(logit);
            if ((key & known) != found) return;
            const Whole measured = measure(key, token);
            if (measured) add_shared(&search.bins[key >> shift & (n_bins - 1)], measured);
        });
        BARRIER();
        if (warp_idx() == 0) find_bin(search, n_bins, true, goal - passed);
        BARRIER();
        found |= search.place << shift;
        known |= (n_bins - 1) << shift;
        passed += search.passed;
    }
    return found;
}

// The token at which the running sum of `measure(key, token)` over ascending tokens reaches `goal`.
// The sum over all tokens is at least `goal`; there are at most as many tiles of a token a thread
// as there are bins.
template <class Measure>
__device__ unsigned find_token(Search& search, const float* logits, unsigned v, Whole goal,
                               Measure measure) {
    const unsigned n_tiles = div_ceil(v, blockDim.x);
    const auto measured = [&](unsigned token) -> Whole {
        return token < v ? measure(key_of(logits[token]), token) : 0;
    };
    for (unsigned i = threadIdx.x; i < n_tiles; i += blockDim.x) search.bins[i] = 0;
    BARRIER();
    for (unsigned tile = 0; tile < n_tiles; tile += AHEAD) {
        Whole sums[AHEAD];
#pragma unroll
        for (unsigned i = 0; i < AHEAD; i++) {
            sums[i] = measured((tile + i) * blockDim.x + threadIdx.x);
        }
#pragma unroll
        for (unsigned i = 0; i < AHEAD; i++) {
            const Whole sum = warp_reduce<Add>(sums[i]);
            if (lane_idx() == 0 && sum) add_shared(&search.bins[tile + i], sum);
        }
    }
    BARRIER();
    if (warp_idx() == 0) find_bin(search, n_tiles, false, goal);
    BARRIER();
    const unsigned token = search.place * blockDim.x + threadIdx.x;
    const Whole mine = measured(token);
    Whole sum = mine;
#pragma unroll
    for (unsigned delta = 1; delta < WARP; delta *= 2) {
        const Whole before = __shfl_up_sync(ALL_LANES, sum, delta);
        if (lane_idx() >= delta) sum += before;
    }
    if (lane_idx() == WARP - 1) search.warp_sums[warp_idx()] = sum;
    goal -= search.passed;
    BARRIER();
    for (unsigned w = 0; w < warp_idx(); w++) sum += search.warp_sums[w];
    if (sum >= goal && sum - mine < goal) search.place = token;
    BARRIER();
    return search.place;
}

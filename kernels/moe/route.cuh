// The router's choice, and the places of each expert.
#pragma once
#include "../device/floats.cuh"
#include "../device/reduce.cuh"

// Most experts: a lane holds this many logits.
constexpr unsigned LOGITS_PER_LANE = 8;

// A logit and whose it is; the larger comes first, of equals the lower index.
struct Choice {
    float logit;
    unsigned expert;
};

__device__ __forceinline__ Choice better(Choice a, Choice b) {
    return b.logit > a.logit || (b.logit == a.logit && b.expert < a.expert) ? b : a;
}

__device__ __forceinline__ Choice best_of_warp(Choice best) {
#pragma unroll
    for (int mask = WARP / 2; mask > 0; mask /= 2) {
        best = better(best, {__shfl_xor_sync(ALL_LANES, best.logit, mask),
                             __shfl_xor_sync(ALL_LANES, best.expert, mask)});
    }
    return best;
}

// Softmax, top-k and renormalisation of one row by a warp. NaN logits are chosen last, and make the
// weights of their row NaN.
//
// Launch: a warp for each token, warps of a block side by side. Limits: e at most 256, k at most 32.
template <class T>
__device__ void moe_route(const T* __restrict__ logits, unsigned* __restrict__ experts,
                          float* __restrict__ weights, unsigned t, unsigned e, unsigned top_k) {
    const unsigned token = blockIdx.x * (blockDim.x / WARP) + warp_idx(), lane = lane_idx();
    if (token >= t) return;
    float mine[LOGITS_PER_LANE];
    // Bit i: the lane's logit i may still be chosen.
    unsigned left = 0;
    float top = -INFINITE;
#pragma unroll
    for (unsigned i = 0; i < LOGITS_PER_LANE; i++) {
        const unsigned expert = i * WARP + lane;
        mine[i] = -INFINITE;
        if (expert < e) {
            mine[i] = to_f32(logits[size_t(token) * e + expert]);
            left |= 1u << i;
        }
        // False for NaN, which then counts for nothing here.
        if (mine[i] > top) top = mine[i];
    }
    top = warp_reduce<Larger>(top);
    float all = 0;
#pragma unroll
    for (unsigned i = 0; i < LOGITS_PER_LANE; i++) {
        if (i * WARP + lane < e) all += expf(mine[i] - top);
    }
    all = warp_reduce<Add>(all);

    // Lane `rank` keeps the choice of that rank.
    Choice kept = {0, 0};
    float kept_sum = 0;
    for (unsigned rank = 0; rank < top_k; rank++) {
        Choice best = {-INFINITE, 0xffffffffu};
#pragma unroll
        for (unsigned i = 0; i < LOGITS_PER_LANE; i++) {
            const float logit = mine[i] == mine[i] ? mine[i] : -INFINITE;
            if (left >> i & 1) best = better(best, {logit, i * WARP + lane});
        }
        best = best_of_warp(best);
        if (best.expert % WARP == lane) left &= ~(1u << best.expert / WARP);
        kept_sum += expf(best.logit - top) / all;
        if (rank == lane) kept = best;
    }
    if (lane < top_k) {
        experts[size_t(token) * top_k + lane] = kept.expert;
        weights[size_t(token) * top_k + lane] = expf(kept.logit - top) / all / kept_sum;
    }
}

// Exclusive sums of 0 or 1 over the block; `all` is the sum of all. `counts` is shared memory for
// one number a warp.
__device__ __forceinline__ unsigned rank_in_block(bool mine, unsigned* counts, unsigned& all) {
    const unsigned votes = __ballot_sync(ALL_LANES, mine);
    if (lane_idx() == 0) counts[warp_idx()] = __popc(votes);
    BARRIER();
    unsigned rank = __popc(votes & ((1u << lane_idx()) - 1));
    all = 0;
    for (unsigned w = 0; w < blockDim.x / WARP; w++) {
        if (w < warp_idx()) rank += counts[w];
        all += counts[w];
    }
    // The next call writes what slower warps still read.
    BARRIER();
    return rank;
}

// Finds the places of one expert: a counting sort in which each expert counts for itself, so that
// blocks share nothing and the order within an expert is that of the places.
//
// Launch: a block for each expert, and one more that writes the end of the last.
__device__ void sort_places(const unsigned* __restrict__ experts, unsigned* __restrict__ starts,
                            unsigned* __restrict__ order, unsigned* __restrict__ found,
                            unsigned n_places) {
    DYNAMIC_SHARED(shared);
    unsigned* sums = reinterpret_cast<unsigned*>(shared);
    unsigned* counts = sums + WARP;
    const unsigned expert = blockIdx.x;
    unsigned n_before = 0;
    for (unsigned i = threadIdx.x; i < n_places; i += blockDim.x) n_before += experts[i] < expert;
    unsigned next = block_reduce<Add>(n_before, 0u, sums);
    if (threadIdx.x == 0) starts[expert] = next;
    for (unsigned i = 0; i < n_places; i += blockDim.x) {
        const unsigned place = i + threadIdx.x;
        const bool mine = place < n_places && experts[place] == expert;
        unsigned all;
        const unsigned target = next + rank_in_block(mine, counts, all);
        if (mine) {
            order[target] = place;
            found[place] = target;
        }
        next += all;
    }
}

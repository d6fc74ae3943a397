// Attention of one row without tensor cores: any type, any even head size. What f32 runs on, and
// head sizes that the tiles do not take.
//
// Launch: a block for each row item and key/value head. Keys, then values of one block of KV lie in
// shared memory as f32; scores are one key a thread, sums one element of a head a thread.
#pragma once
#include "parts.cuh"

template <class T>
__device__ void attend_plain(const Inputs<T>& in, const unsigned* __restrict__ items,
                             const Outputs<T>& out, Heads heads, float scale) {
    DYNAMIC_SHARED(shared);
    const RowItem item = row_item(items, heads);
    const unsigned kv_head = kv_head_of(heads), group = heads.hq / heads.hkv, d = heads.d;
    // One more than a row holds, so that lanes with a key each read from different banks.
    const unsigned stride = d + 1;
    float* q = reinterpret_cast<float*>(shared);
    float* kv = q + group * d;
    float* sums = kv + BLOCK * stride;
    float* scores = sums + group * d;
    float* tops = scores + group * BLOCK;
    float* totals = tops + group;
    float* fades = totals + group;

    const T* q_row = in.q + (size_t(item.row) * heads.hq + kv_head * group) * d;
    for (unsigned i = threadIdx.x; i < group * d; i += blockDim.x) {
        q[i] = to_f32(q_row[i]) * scale;
        sums[i] = 0;
    }
    for (unsigned g = threadIdx.x; g < group; g += blockDim.x) {
        tops[g] = -INFINITE;
        totals[g] = 0;
    }
    const unsigned* table = in.tables + size_t(item.sequence) * in.table_width;
    for (unsigned block = item.first / BLOCK; block * BLOCK < item.end; block++) {
        const unsigned from = max(item.first, block * BLOCK) - block * BLOCK;
        const unsigned to = min(item.end - block * BLOCK, BLOCK);
        const size_t start = (size_t(table[block]) * BLOCK * heads.hkv + kv_head) * d;
        const auto read = [&](const T* pool) {
            for (unsigned i = from * d + threadIdx.x; i < to * d; i += blockDim.x) {
                kv[i / d * stride + i % d] = to_f32(pool[start + i / d * heads.hkv * d + i % d]);
            }
        };
        read(in.k);
        BARRIER();
        for (unsigned i = threadIdx.x; i < group * BLOCK; i += blockDim.x) {
            const unsigned key = i % BLOCK;
            const bool seen = key >= from && key < to;
            float score = 0;
            for (unsigned j = 0; seen && j < d; j++) {
                score += q[i / BLOCK * d + j] * kv[key * stride + j];
            }
            scores[i] = seen ? score : -INFINITE;
        }
        BARRIER();
        read(in.v);
        for (unsigned g = warp_idx(); g < group; g += blockDim.x / WARP) {
            float& score = scores[g * BLOCK + lane_idx()];
            const float before = tops[g];
            const float top = max(before, warp_reduce<Larger>(score));
            const float weight = exp2f(score - top), total = warp_reduce<Add>(weight);
            score = weight;
            // All lanes have read the top before one replaces it.
            WARP_BARRIER();
            if (lane_idx() == 0) {
                fades[g] = exp2f(before - top);
                totals[g] = totals[g] * fades[g] + total;
                tops[g] = top;
            }
        }
        BARRIER();
        for (unsigned i = threadIdx.x; i < group * d; i += blockDim.x) {
            float sum = sums[i] * fades[i / d];
            for (unsigned key = from; key < to; key++) {
                sum += scores[i / d * BLOCK + key] * kv[key * stride + i % d];
            }
            sums[i] = sum;
        }
        // The next block's keys take the place of these values.
        BARRIER();
    }
    for (unsigned i = threadIdx.x; i < group * d; i += blockDim.x) {
        const unsigned g = i / d;
        put(out, item, kv_head * group + g, i % d, heads, sums[i], tops[g], totals[g]);
    }
}

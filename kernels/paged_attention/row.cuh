// Attention of one row (a decode) on tensor cores: the query heads of a group are the rows of one
// tile, and the warps of a block share out its keys.
//
// Launch: 4 warps for each row item and key/value head. Warp `w` takes steps `w`, `w + 4`, .. of 16
// keys, with two steps of its own in shared memory: the next is on its way while one is multiplied,
// and no warp waits for another before the end. There the warps' sums are added in their order.
//
// Limits: at most 16 query heads a group.
#pragma once
#include "tensor.cuh"

constexpr unsigned ROW_WARPS = 4, ROW_KEYS = 16;

// Adds up what the warps have in shared memory, `[warp, 16, D + 2]`, and writes it.
template <class T, unsigned D>
__device__ __forceinline__ void join_warps(const float* sums, const RowItem& item,
                                           const Outputs<T>& out, Heads heads) {
    const unsigned group = heads.hq / heads.hkv;
    for (unsigned i = threadIdx.x; i < group * D; i += blockDim.x) {
        const float* mine = sums + i / D * (D + 2);
        float top = -INFINITE, sum = 0, total = 0;
        for (unsigned w = 0; w < ROW_WARPS; w++) {
            top = max(top, mine[w * TILE * (D + 2) + D]);
        }
        for (unsigned w = 0; w < ROW_WARPS; w++) {
            const float* theirs = mine + w * TILE * (D + 2);
            const float fade = exp2f(theirs[D] - top);
            sum += theirs[i % D] * fade;
            total += theirs[D + 1] * fade;
        }
        put(out, item, kv_head_of(heads) * group + i / D, i % D, heads, sum, top, total);
    }
}

template <class T, unsigned D>
__device__ void attend_row(const Inputs<T>& in, const unsigned* __restrict__ items,
                           const Outputs<T>& out, Heads heads, float scale) {
    DYNAMIC_SHARED(shared);
    constexpr unsigned STAGE = 2 * ROW_KEYS * STRIDE<D>;
    T* queries = reinterpret_cast<T*>(shared);
    T* stages = queries + TILE * STRIDE<D> + warp_idx() * 2 * STAGE;
    const RowItem item = row_item(items, heads);
    const unsigned group = heads.hq / heads.hkv, lane = lane_idx();

    const T* q_row = in.q + (size_t(item.row) * heads.hq + kv_head_of(heads) * group) * D;
    for (unsigned i = threadIdx.x; i < TILE * D / 8; i += blockDim.x) {
        const unsigned g = i / (D / 8), column = i % (D / 8) * 8;
        Pack<T, 8> pack = {};
        if (g < group) pack = load<8>(q_row + g * D + column);
        store(queries + g * STRIDE<D> + column, pack);
    }
    unsigned step = item.first / ROW_KEYS + warp_idx();
    const Keys keys = {item.sequence, item.first, item.end};
    fetch<T, D, ROW_KEYS, WARP>(stages, in, keys, step * ROW_KEYS, lane, heads);
    BARRIER();
    unsigned q[D / 16][4];
    read_queries<D>(q, queries);
    Sums<D> sums;
    sums.clear();
    for (unsigned turn = 0; step * ROW_KEYS < item.end; step += ROW_WARPS, turn++) {
        T* stage = stages + turn % 2 * STAGE;
        fetch<T, D, ROW_KEYS, WARP>(stages + (turn + 1) % 2 * STAGE, in, keys,
                                    (step + ROW_WARPS) * ROW_KEYS, lane, heads);
        WAIT_COPIES(1);
        WARP_BARRIER();
        float s[ROW_KEYS / 8][4];
        score<D, ROW_KEYS>(s, q, stage);
#pragma unroll
        for (unsigned n = 0; n < ROW_KEYS / 8; n++) {
#pragma unroll
            for (unsigned i = 0; i < 4; i++) {
                const unsigned key = step * ROW_KEYS + n * 8 + lane % 4 * 2 + i % 2;
                if (key < item.first || key >= item.end) s[n][i] = -INFINITE;
            }
        }
        weigh<D, ROW_KEYS>(s, sums, scale);
        add_values<D, ROW_KEYS>(sums, s, stage + ROW_KEYS * STRIDE<D>);
        // The copies after next go where other lanes may still read.
        WARP_BARRIER();
    }
    sums.finish();
    // The sums take the place of the stages, whose copies have all arrived by now; other warps'
    // stages must be done with first.
    BARRIER();
    float* all = reinterpret_cast<float*>(shared);
    float* mine = all + warp_idx() * TILE * (D + 2);
#pragma unroll
    for (unsigned i = 0; i < 4; i++) {
        const unsigned row = lane / 4 + i / 2 * 8;
#pragma unroll
        for (unsigned n = 0; n < D / 8; n++) {
            mine[row * (D + 2) + n * 8 + lane % 4 * 2 + i % 2] = sums.o[n][i];
        }
        mine[row * (D + 2) + D] = sums.top[i / 2];
        mine[row * (D + 2) + D + 1] = sums.total[i / 2];
    }
    BARRIER();
    join_warps<T, D>(all, item, out, heads);
}

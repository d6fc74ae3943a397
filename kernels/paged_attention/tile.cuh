// Attention of a tile of neighbouring rows (a prefill) on tensor cores.
//
// Launch: 4 warps of 16 packed rows for each tile item and key/value head; all warps read the same
// keys, block by block, of which two lie in shared memory: the next is on its way while one is
// multiplied. A warp passes over blocks that none of its rows sees.
//
// Limits: at most 64 query heads a group; a tile has at most `64 / group` rows.
#pragma once
#include "tensor.cuh"

constexpr unsigned TILE_WARPS = 4, TILE_ROWS = TILE_WARPS * TILE;

// Writes what each row has summed up.
template <class T, unsigned D>
__device__ __forceinline__ void write_rows(const Sums<D>& sums, const TileItem& item, T* out,
                                           Heads heads) {
    const unsigned group = heads.hq / heads.hkv, lane = lane_idx();
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        const unsigned row = warp_idx() * TILE + half * 8 + lane / 4;
        if (row >= item.n_rows * group) continue;
        const unsigned head = kv_head_of(heads) * group + row % group;
        T* target = out + (size_t(item.row + row / group) * heads.hq + head) * D + lane % 4 * 2;
#pragma unroll
        for (unsigned n = 0; n < D / 8; n++) {
            const float share = 1 / sums.total[half];
            store_pair(target + n * 8, sums.o[n][2 * half] * share,
                       sums.o[n][2 * half + 1] * share);
        }
    }
}

template <class T, unsigned D>
__device__ void attend_tile(const Inputs<T>& in, const unsigned* __restrict__ items,
                            T* __restrict__ out, Heads heads, unsigned window, float scale) {
    DYNAMIC_SHARED(shared);
    constexpr unsigned STAGE = 2 * BLOCK * STRIDE<D>;
    T* stages = reinterpret_cast<T*>(shared);
    const TileItem item = tile_item(items, heads);
    const unsigned group = heads.hq / heads.hkv, lane = lane_idx();
    const auto first_seen = [=](unsigned position) {
        return position < window ? 0 : position + 1 - window;
    };

    // Queries pass through the memory of the first stage on their way to registers.
    for (unsigned i = threadIdx.x; i < TILE_ROWS * D / 8; i += blockDim.x) {
        const unsigned row = i / (D / 8), column = i % (D / 8) * 8;
        const unsigned head = kv_head_of(heads) * group + row % group;
        Pack<T, 8> pack = {};
        if (row < item.n_rows * group) {
            pack = load<8>(in.q + (size_t(item.row + row / group) * heads.hq + head) * D + column);
        }
        store(stages + row * STRIDE<D> + column, pack);
    }
    BARRIER();
    unsigned q[D / 16][4];
    read_queries<D>(q, stages + warp_idx() * TILE * STRIDE<D>);
    BARRIER();

    const unsigned first = first_seen(item.position), end = item.position + item.n_rows;
    // Positions of this warp's rows, of which the last may lie beyond the tile.
    const unsigned warp_first = item.position + warp_idx() * TILE / group;
    const unsigned warp_last = item.position + (warp_idx() * TILE + TILE - 1) / group;
    Sums<D> sums;
    sums.clear();
    const Keys keys = {item.sequence, first, end};
    const auto fetch_block = [&](T* stage, unsigned block) {
        fetch<T, D, BLOCK, TILE_WARPS * WARP>(stage, in, keys, block * BLOCK, threadIdx.x, heads);
    };
    fetch_block(stages, first / BLOCK);
    unsigned turn = 0;
    for (unsigned block = first / BLOCK; block * BLOCK < end; block++, turn++) {
        T* stage = stages + turn % 2 * STAGE;
        T* next = stages + (turn + 1) % 2 * STAGE;
        fetch_block(next, block + 1);
        WAIT_COPIES(1);
        BARRIER();
        const unsigned key_start = block * BLOCK;
        if (key_start <= warp_last && key_start + BLOCK > first_seen(warp_first)) {
            float s[BLOCK / 8][4];
            score<D, BLOCK>(s, q, stage);
            if (key_start + BLOCK > warp_first + 1 || key_start < first_seen(warp_last)) {
#pragma unroll
                for (unsigned i = 0; i < 4; i++) {
                    const unsigned row = warp_idx() * TILE + i / 2 * 8 + lane / 4;
                    const unsigned position = item.position + row / group;
#pragma unroll
                    for (unsigned n = 0; n < BLOCK / 8; n++) {
                        const unsigned key = key_start + n * 8 + lane % 4 * 2 + i % 2;
                        if (key > position || key < first_seen(position)) s[n][i] = -INFINITE;
                    }
                }
            }
            weigh<D, BLOCK>(s, sums, scale);
            add_values<D, BLOCK>(sums, s, stage + BLOCK * STRIDE<D>);
        }
        // The block after next goes where slower warps may still read.
        BARRIER();
    }
    sums.finish();
    write_rows<T, D>(sums, item, out, heads);
}

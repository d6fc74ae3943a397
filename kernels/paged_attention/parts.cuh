// What the attention kernels share: their work lists, and results that are whole or parts.
//
// A row whose keys are shared out over several blocks leaves a part for each: for each query head
// the sums [d], then the largest score and the total of the weights relative to it, all f32. Scores
// are in powers of two: they come multiplied by `scale * log2(e)`.
#pragma once
#include "../device/floats.cuh"
#include "../device/reduce.cuh"

// Some keys, `first..end`, of one query row; `part` is where the result goes, none when they are
// all the row has.
struct RowItem {
    unsigned row, sequence, first, end, part;
};

// Neighbouring rows of one sequence, the first at `position`, the others following.
struct TileItem {
    unsigned row, n_rows, sequence, position;
};

// Parts `first..first + n` make one row.
struct MergeItem {
    unsigned row, first, n;
};

constexpr unsigned NO_PART = 0xffffffffu;

struct Heads {
    unsigned hq, hkv, d;
};

// q [t, hq, d], k and v [n, BLOCK, hkv, d], tables [b, table_width].
template <class T>
struct Inputs {
    const T* __restrict__ q;
    const T* __restrict__ k;
    const T* __restrict__ v;
    const unsigned* __restrict__ tables;
    unsigned table_width;
};

// out [t, hq, d], parts [n, hq, d + 2].
template <class T>
struct Outputs {
    T* __restrict__ out;
    float* __restrict__ parts;
};

// The key/value head and the item of a block. Heads come first: the blocks that run side by side
// then read the keys of the same tokens, which lie side by side.
__device__ __forceinline__ unsigned kv_head_of(Heads heads) { return blockIdx.x % heads.hkv; }

__device__ __forceinline__ RowItem row_item(const unsigned* items, Heads heads) {
    const unsigned* words = items + 5 * size_t(blockIdx.x / heads.hkv);
    return {words[0], words[1], words[2], words[3], words[4]};
}

__device__ __forceinline__ TileItem tile_item(const unsigned* items, Heads heads) {
    const unsigned* words = items + 4 * size_t(blockIdx.x / heads.hkv);
    return {words[0], words[1], words[2], words[3]};
}

__device__ __forceinline__ MergeItem merge_item(const unsigned* items, unsigned i) {
    const unsigned* words = items + 3 * size_t(i);
    return {words[0], words[1], words[2]};
}

// Writes element `i` of one head: into the result, or with what a merge needs into a part.
template <class T>
__device__ __forceinline__ void put(const Outputs<T>& out, const RowItem& item, unsigned head,
                                    unsigned i, Heads heads, float sum, float top, float total) {
    if (item.part == NO_PART) {
        out.out[(size_t(item.row) * heads.hq + head) * heads.d + i] = from_f32<T>(sum / total);
        return;
    }
    float* part = out.parts + (size_t(item.part) * heads.hq + head) * (heads.d + 2);
    part[i] = sum;
    if (i == 0) {
        part[heads.d] = top;
        part[heads.d + 1] = total;
    }
}

// Launch: a block for each merge item and query head, a thread for each element of the head. Parts
// are added in their order.
template <class T>
__device__ void merge(const unsigned* __restrict__ items, const Outputs<T>& out, Heads heads) {
    const MergeItem item = merge_item(items, blockIdx.x);
    const unsigned head = blockIdx.y, i = threadIdx.x, d = heads.d;
    if (i >= d) return;
    const size_t stride = size_t(heads.hq) * (d + 2);
    const float* part = out.parts + (size_t(item.first) * heads.hq + head) * (d + 2);
    float top = -INFINITE;
    for (unsigned j = 0; j < item.n; j++) top = max(top, part[j * stride + d]);
    float sum = 0, total = 0;
    for (unsigned j = 0; j < item.n; j++) {
        const float fade = exp2f(part[j * stride + d] - top);
        sum += part[j * stride + i] * fade;
        total += part[j * stride + d + 1] * fade;
    }
    out.out[(size_t(item.row) * heads.hq + head) * d + i] = from_f32<T>(sum / total);
}

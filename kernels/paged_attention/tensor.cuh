// Attention on tensor cores: 16 packed rows a warp, keys in steps, sums in registers.
//
// Packed rows are (token, query head) pairs that read one key/value head: row `r` of a tile is
// token `r / group`, head `r % group`. Keys and values are then read once for all heads of a group.
// A warp's fragments lie as `mma` has them: lane `l` holds rows `l / 4` and `l / 4 + 8`, and of
// every 8 columns `l % 4 * 2` and the next.
#pragma once
#include "../device/tensor_core.cuh"
#include "parts.cuh"

// Elements between rows in shared memory: the 16 bytes more spread 8 rows over all banks.
template <unsigned D>
constexpr unsigned STRIDE = D + 8;

// Rows of queries that a warp multiplies at once.
constexpr unsigned TILE = 16;

// The keys `first..end` of a sequence.
struct Keys {
    unsigned sequence, first, end;
};

// Asks for `N` keys from `start`, all of one block of KV, and behind them for their values; `thread`
// of `N_THREADS` takes its share. Those outside `keys` are zeros, for what lies there may be no
// number. Closes the group, also when there is nothing left to ask for.
template <class T, unsigned D, unsigned N, unsigned N_THREADS>
__device__ __forceinline__ void fetch(T* stage, const Inputs<T>& in, const Keys& keys,
                                      unsigned start, unsigned thread, Heads heads) {
    if (start < keys.end) {
        const unsigned block = in.tables[size_t(keys.sequence) * in.table_width + start / BLOCK];
        const size_t slot = size_t(block) * BLOCK + start % BLOCK;
        const size_t source = (slot * heads.hkv + kv_head_of(heads)) * D;
#pragma unroll
        for (unsigned i = thread; i < N * D / 8; i += N_THREADS) {
            const unsigned key = i / (D / 8), column = i % (D / 8) * 8;
            const bool wanted = start + key >= keys.first && start + key < keys.end;
            const size_t at = source + key * heads.hkv * D + column;
            copy_async(stage + key * STRIDE<D> + column, in.k + at, wanted);
            copy_async(stage + (N + key) * STRIDE<D> + column, in.v + at, wanted);
        }
    }
    commit_copies();
}

// What a warp has summed up for its 16 rows.
template <unsigned D>
struct Sums {
    float o[D / 8][4];
    // Largest score and total of the weights, of row `l / 4` and row `l / 4 + 8`. A lane's totals
    // are those of its own columns until `finish`.
    float top[2], total[2];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (unsigned n = 0; n < D / 8; n++) {
#pragma unroll
            for (unsigned i = 0; i < 4; i++) o[n][i] = 0;
        }
        top[0] = top[1] = -INFINITE;
        total[0] = total[1] = 0;
    }

    __device__ __forceinline__ void finish() {
#pragma unroll
        for (unsigned half = 0; half < 2; half++) {
            total[half] += __shfl_xor_sync(ALL_LANES, total[half], 1);
            total[half] += __shfl_xor_sync(ALL_LANES, total[half], 2);
        }
    }
};

// Reads 16 rows of queries out of shared memory.
template <unsigned D, class T>
__device__ __forceinline__ void read_queries(unsigned (&q)[D / 16][4], const T* rows) {
    const unsigned lane = lane_idx();
#pragma unroll
    for (unsigned k = 0; k < D / 16; k++) {
        ldmatrix(q[k], rows + lane % 16 * STRIDE<D> + k * 16 + lane / 16 * 8);
    }
}

// s = q k^T for `KEYS` keys in shared memory.
template <unsigned D, unsigned KEYS, class T>
__device__ __forceinline__ void score(float (&s)[KEYS / 8][4], const unsigned (&q)[D / 16][4],
                                      const T* keys) {
    const unsigned lane = lane_idx();
#pragma unroll
    for (unsigned n = 0; n < KEYS / 8; n++) s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
#pragma unroll
    for (unsigned k = 0; k < D / 16; k++) {
#pragma unroll
        for (unsigned n = 0; n < KEYS / 16; n++) {
            const unsigned key = n * 16 + lane / 16 * 8 + lane % 8;
            unsigned pair[4];
            ldmatrix(pair, keys + key * STRIDE<D> + k * 16 + lane / 8 % 2 * 8);
            mma<T>(s[2 * n], q[k], {pair[0], pair[1]});
            mma<T>(s[2 * n + 1], q[k], {pair[2], pair[3]});
        }
    }
}

// Turns scores into weights and fades what was summed before to the new largest score.
template <unsigned D, unsigned KEYS>
__device__ __forceinline__ void weigh(float (&s)[KEYS / 8][4], Sums<D>& sums, float scale) {
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        float top = -INFINITE;
#pragma unroll
        for (unsigned n = 0; n < KEYS / 8; n++) {
            top = max(top, max(s[n][2 * half], s[n][2 * half + 1]));
        }
        top = max(top, __shfl_xor_sync(ALL_LANES, top, 1));
        top = max(top, __shfl_xor_sync(ALL_LANES, top, 2));
        top = max(sums.top[half], top * scale);
        // A row that has seen no key yet has nothing to fade, and infinity less itself is no number.
        const float origin = top == -INFINITE ? 0 : top;
        const float fade = exp2f(sums.top[half] - origin);
        sums.top[half] = top;
        sums.total[half] *= fade;
#pragma unroll
        for (unsigned n = 0; n < KEYS / 8; n++) {
#pragma unroll
            for (unsigned i = 2 * half; i < 2 * half + 2; i++) {
                s[n][i] = exp2f(s[n][i] * scale - origin);
                sums.total[half] += s[n][i];
            }
        }
#pragma unroll
        for (unsigned n = 0; n < D / 8; n++) {
            sums.o[n][2 * half] *= fade;
            sums.o[n][2 * half + 1] *= fade;
        }
    }
}

// o += p v, with the weights rounded to the type of the values.
template <unsigned D, unsigned KEYS, class T>
__device__ __forceinline__ void add_values(Sums<D>& sums, const float (&p)[KEYS / 8][4],
                                           const T* values) {
    const unsigned lane = lane_idx();
#pragma unroll
    for (unsigned k = 0; k < KEYS / 16; k++) {
        const unsigned weights[4] = {pair_of<T>(p[2 * k][0], p[2 * k][1]),
                                     pair_of<T>(p[2 * k][2], p[2 * k][3]),
                                     pair_of<T>(p[2 * k + 1][0], p[2 * k + 1][1]),
                                     pair_of<T>(p[2 * k + 1][2], p[2 * k + 1][3])};
#pragma unroll
        for (unsigned n = 0; n < D / 16; n++) {
            unsigned pair[4];
            ldmatrix_transposed(
                pair, values + (k * 16 + lane % 16) * STRIDE<D> + n * 16 + lane / 16 * 8);
            mma<T>(sums.o[2 * n], weights, {pair[0], pair[1]});
            mma<T>(sums.o[2 * n + 1], weights, {pair[2], pair[3]});
        }
    }
}

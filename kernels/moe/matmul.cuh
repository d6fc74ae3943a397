// The grouped product: each expert's rows with that expert's matrix, y[place] = x[row] W^T.
//
// Nobody outside knows how many rows an expert has. The grid has room for the worst case, and a
// block finds by `starts` which tile of which expert it is, or that it is none.
//
// Layout: x [t, k] where `top_k` is above 0, the row of a place being `order[place] / top_k`, else
// [places, k] in the order of the places; w the addresses of e matrices [n, k]; y [places, n].
#pragma once
#include "../device/tensor_core.cuh"

template <class T>
struct Product {
    const T* __restrict__ x;
    const T* const* __restrict__ w;
    const unsigned* __restrict__ starts;
    const unsigned* __restrict__ order;
    T* __restrict__ y;
    unsigned e, top_k, n, k;

    __device__ __forceinline__ const T* row(unsigned place) const {
        return x + size_t(top_k ? order[place] / top_k : place) * k;
    }
};

// Places `first..end` of one expert.
struct Rows {
    unsigned expert, first, end;
};

// The rows of tile `tile`, counted over all experts; none when `first` is `end`.
__device__ __forceinline__ Rows rows_of(const unsigned* starts, unsigned e, unsigned tile,
                                        unsigned n_rows) {
    for (unsigned expert = 0; expert < e; expert++) {
        const unsigned first = starts[expert], end = starts[expert + 1];
        const unsigned n_tiles = div_ceil(end - first, n_rows);
        if (tile < n_tiles) return {expert, first + tile * n_rows, end};
        tile -= n_tiles;
    }
    return {0, 0, 0};
}

// Warps of a block, and steps of a tile that are in shared memory or on their way.
constexpr unsigned MATMUL_WARPS = 4, N_STAGES = 4;

// The part of the result that a block makes, and how many columns of x and w it takes at a time.
template <unsigned ROWS_, unsigned COLUMNS_, unsigned STEP_>
struct MatmulTile {
    static constexpr unsigned ROWS = ROWS_, COLUMNS = COLUMNS_, STEP = STEP_;
    // Elements between rows in shared memory: 16 bytes more spread 8 rows over all banks.
    static constexpr unsigned STRIDE = STEP + 8;
    static constexpr unsigned STAGE = (ROWS + COLUMNS) * STRIDE;
    // What one warp multiplies: all rows, a share of the columns, in fragments of `mma`.
    static constexpr unsigned WARP_COLUMNS = COLUMNS / MATMUL_WARPS;
    static constexpr unsigned M = ROWS / 16, N = WARP_COLUMNS / 8;
};
// Few rows: the matrices are what is read, so wide steps of them.
using SmallTile = MatmulTile<16, 64, 64>;
// Many rows: each matrix element serves 64 of them.
using LargeTile = MatmulTile<64, 128, 32>;

// Asks for one step of a tile of x and of w. What lies outside the matrices is zeros.
template <class T, class Tile>
__device__ __forceinline__ void fetch(T* stage, const Product<T>& in, const Rows& rows,
                                      unsigned step) {
    constexpr unsigned PACKS = Tile::STEP / 8;
    const unsigned k_start = step * Tile::STEP, column_start = blockIdx.y * Tile::COLUMNS;
    if (k_start < in.k) {
        const T* w = in.w[rows.expert];
        for (unsigned i = threadIdx.x; i < (Tile::ROWS + Tile::COLUMNS) * PACKS; i += blockDim.x) {
            const unsigned row = i / PACKS, k = k_start + i % PACKS * 8;
            T* target = stage + row * Tile::STRIDE + i % PACKS * 8;
            if (row < Tile::ROWS) {
                const unsigned place = rows.first + row;
                const bool wanted = place < rows.end && k < in.k;
                copy_async(target, wanted ? in.row(place) + k : in.x, wanted);
            } else {
                const unsigned column = column_start + row - Tile::ROWS;
                const bool wanted = column < in.n && k < in.k;
                copy_async(target, wanted ? w + size_t(column) * in.k + k : w, wanted);
            }
        }
    }
    commit_copies();
}

// Adds one step to a warp's sums.
template <class T, class Tile>
__device__ __forceinline__ void multiply(float (&sums)[Tile::M][Tile::N][4], const T* stage) {
    const unsigned lane = lane_idx();
    const T* columns = stage + (Tile::ROWS + warp_idx() * Tile::WARP_COLUMNS) * Tile::STRIDE;
#pragma unroll
    for (unsigned k = 0; k < Tile::STEP; k += 16) {
        unsigned x[Tile::M][4];
#pragma unroll
        for (unsigned m = 0; m < Tile::M; m++) {
            ldmatrix(x[m], stage + (m * 16 + lane % 16) * Tile::STRIDE + k + lane / 16 * 8);
        }
#pragma unroll
        for (unsigned n = 0; n < Tile::N; n += 2) {
            const unsigned column = n * 8 + lane / 16 * 8 + lane % 8;
            unsigned pair[4];
            ldmatrix(pair, columns + column * Tile::STRIDE + k + lane / 8 % 2 * 8);
#pragma unroll
            for (unsigned m = 0; m < Tile::M; m++) {
                mma<T>(sums[m][n], x[m], {pair[0], pair[1]});
                mma<T>(sums[m][n + 1], x[m], {pair[2], pair[3]});
            }
        }
    }
}

// Launch: 4 warps for each tile of rows (blockIdx.x) and of columns (blockIdx.y): the tiles of an
// expert that read the same part of its matrix run side by side, so that it comes from memory once.
// Four steps are in shared memory or on their way; a warp takes a quarter of the columns.
//
// Limits: k a multiple of 8, x and all matrices at addresses of 16 bytes; n even, y at addresses of
// two elements.
template <class T, class Tile>
__device__ void moe_matmul(const Product<T>& in) {
    DYNAMIC_SHARED(shared);
    T* stages = reinterpret_cast<T*>(shared);
    const Rows rows = rows_of(in.starts, in.e, blockIdx.x, Tile::ROWS);
    if (rows.first == rows.end) return;
    float sums[Tile::M][Tile::N][4] = {};
    for (unsigned step = 0; step < N_STAGES - 1; step++) {
        fetch<T, Tile>(stages + step * Tile::STAGE, in, rows, step);
    }
    const unsigned n_steps = div_ceil(in.k, Tile::STEP);
    for (unsigned step = 0; step < n_steps; step++) {
        WAIT_COPIES(N_STAGES - 2);
        // All threads' copies of this step have arrived, and all have done with the step before,
        // whose stage the next copies take.
        BARRIER();
        const unsigned ahead = step + N_STAGES - 1;
        fetch<T, Tile>(stages + ahead % N_STAGES * Tile::STAGE, in, rows, ahead);
        multiply<T, Tile>(sums, stages + step % N_STAGES * Tile::STAGE);
    }
    const unsigned lane = lane_idx();
    const unsigned column_start = blockIdx.y * Tile::COLUMNS + warp_idx() * Tile::WARP_COLUMNS;
#pragma unroll
    for (unsigned m = 0; m < Tile::M; m++) {
#pragma unroll
        for (unsigned n = 0; n < Tile::N; n++) {
#pragma unroll
            for (unsigned half = 0; half < 2; half++) {
                const unsigned place = rows.first + m * 16 + half * 8 + lane / 4;
                const unsigned column = column_start + n * 8 + lane % 4 * 2;
                if (place >= rows.end || column >= in.n) continue;
                store_pair(in.y + size_t(place) * in.n + column, sums[m][n][2 * half],
                           sums[m][n][2 * half + 1]);
            }
        }
    }
}

constexpr unsigned PLAIN_TILE = 16;

// Launch: 256 threads for 16 rows (blockIdx.x) and 16 columns (blockIdx.y), one sum a thread.
template <class T>
__device__ void moe_matmul_plain(const Product<T>& in) {
    DYNAMIC_SHARED(shared);
    const Rows rows = rows_of(in.starts, in.e, blockIdx.x, PLAIN_TILE);
    if (rows.first == rows.end) return;
    // One more than a row holds, so that a column's lanes read from different banks.
    constexpr unsigned STRIDE = WARP + 1;
    float* x = reinterpret_cast<float*>(shared);
    float* w = x + PLAIN_TILE * STRIDE;
    const unsigned column_start = blockIdx.y * PLAIN_TILE;
    const unsigned row = threadIdx.x / PLAIN_TILE, column = threadIdx.x % PLAIN_TILE;
    float sum = 0;
    for (unsigned k_start = 0; k_start < in.k; k_start += WARP) {
        for (unsigned i = threadIdx.x; i < PLAIN_TILE * WARP; i += blockDim.x) {
            const unsigned k = k_start + i % WARP, at = i / WARP * STRIDE + i % WARP;
            const unsigned place = rows.first + i / WARP, n = column_start + i / WARP;
            x[at] = place < rows.end && k < in.k ? to_f32(in.row(place)[k]) : 0;
            w[at] = n < in.n && k < in.k ? to_f32(in.w[rows.expert][size_t(n) * in.k + k]) : 0;
        }
        BARRIER();
        for (unsigned k = 0; k < WARP; k++) sum += x[row * STRIDE + k] * w[column * STRIDE + k];
        // The next step takes the place of this one.
        BARRIER();
    }
    if (rows.first + row < rows.end && column_start + column < in.n) {
        in.y[size_t(rows.first + row) * in.n + column_start + column] = from_f32<T>(sum);
    }
}

// The grouped product: each expert's rows with that expert's matrix, y[place] = x[row] W^T.
//
// Nobody outside knows how many rows an expert has. The grid has room for the worst case, and a
// block finds by `starts` which part of which expert it is, or that it is none.
//
// Layout: x [t, k] where `top_k` is above 0, the row of a place being `order[place] / top_k`, else
// [places, k] in the order of the places; w the addresses of e matrices [n, k], stored in one of the
// formats of `stored.cuh`; y [places, n].
#pragma once
#include "stored.cuh"

template <class T>
struct Product {
    const T* __restrict__ x;
    const unsigned char* const* __restrict__ w;
    const unsigned* __restrict__ starts;
    const unsigned* __restrict__ order;
    T* __restrict__ y;
    unsigned e, top_k, n, k;

    __device__ __forceinline__ unsigned row(unsigned place) const {
        return top_k ? order[place] / top_k : place;
    }
};

// Places `first..end` of one expert, and the first column of a tile.
struct Part {
    unsigned expert, first, end, column;
};

// The part that this block is; none when `first` is `end`. Experts follow one another, so that the
// rows of one stay in the cache while its matrix passes by; the tiles of an expert that read the same
// columns run side by side, so that these come from memory once.
__device__ __forceinline__ Part part_of_block(const unsigned* starts, unsigned e, unsigned n,
                                              unsigned n_rows, unsigned n_columns) {
    const unsigned n_across = div_ceil(n, n_columns);
    unsigned block = blockIdx.x;
    for (unsigned expert = 0; expert < e; expert++) {
        const unsigned first = starts[expert], end = starts[expert + 1];
        const unsigned n_tiles = div_ceil(end - first, n_rows);
        if (block < n_tiles * n_across) {
            return {expert, first + block % n_tiles * n_rows, end, block / n_tiles * n_columns};
        }
        block -= n_tiles * n_across;
    }
    return {0, 0, 0, 0};
}

// Warps and threads of a block.
constexpr unsigned MATMUL_WARPS = 4, MATMUL_THREADS = MATMUL_WARPS * WARP;

// What a block makes of the result, in steps of the format of W: ROWS by COLUMNS, of which each of
// WARPS_DOWN by 4 / WARPS_DOWN warps makes a share, and how many steps are in shared memory or on
// their way.
template <class T_, class W_, unsigned ROWS_, unsigned COLUMNS_, unsigned WARPS_DOWN_,
          unsigned N_STAGES_>
struct MatmulTile {
    using T = T_;
    using W = W_;
    static constexpr unsigned ROWS = ROWS_, COLUMNS = COLUMNS_, N_STAGES = N_STAGES_;
    static constexpr unsigned WARPS_ACROSS = MATMUL_WARPS / WARPS_DOWN_;
    static constexpr unsigned WARP_ROWS = ROWS / WARPS_DOWN_, WARP_COLUMNS = COLUMNS / WARPS_ACROSS;
    // Fragments of `mma` in what one warp makes.
    static constexpr unsigned M = WARP_ROWS / 16, N = WARP_COLUMNS / 8;
    // Elements between rows of x in shared memory: 16 bytes more spread 8 rows over all banks.
    static constexpr unsigned X_STRIDE = W::STEP + 8;
    static constexpr unsigned X_BYTES = ROWS * X_STRIDE * sizeof(T);
    static constexpr unsigned STAGE_BYTES = X_BYTES + COLUMNS * W::STRIDE;

    unsigned char* shared;

    // The row of x of each place, for no copy to ask for it again.
    __device__ __forceinline__ unsigned* rows() const {
        return reinterpret_cast<unsigned*>(shared);
    }
    __device__ __forceinline__ unsigned char* stage(unsigned step) const {
        return shared + ROWS * sizeof(unsigned) + step % N_STAGES * STAGE_BYTES;
    }
};

// Asks for one step of a tile of x and of w. What lies outside the matrices is zeros.
template <class Tile, class T>
__device__ __forceinline__ void fetch(const Tile& tile, const Product<T>& in, const Part& part,
                                      unsigned step) {
    using W = typename Tile::W;
    constexpr unsigned X_PACKS = W::STEP / 8;
    unsigned char* stage = tile.stage(step);
    if (step * W::STEP < in.k) {
        for (unsigned i = threadIdx.x; i < Tile::ROWS * X_PACKS; i += blockDim.x) {
            const unsigned row = i / X_PACKS, k = step * W::STEP + i % X_PACKS * 8;
            const bool wanted = part.first + row < part.end && k < in.k;
            const T* source = wanted ? in.x + size_t(tile.rows()[row]) * in.k + k : in.x;
            T* target = reinterpret_cast<T*>(stage) + row * Tile::X_STRIDE + i % X_PACKS * 8;
            copy_async(target, source, wanted);
        }
        const unsigned char* w = in.w[part.expert];
        for (unsigned i = threadIdx.x; i < Tile::COLUMNS * W::PACKS; i += blockDim.x) {
            const unsigned column = i / W::PACKS, pack = i % W::PACKS;
            const bool wanted = part.column + column < in.n && W::has(in.k, step, pack);
            const unsigned char* row = w + (part.column + column) * W::row_bytes(in.k);
            copy_async<W::PACK>(stage + Tile::X_BYTES + column * W::STRIDE + pack * W::PACK,
                                wanted ? row + W::source(step, pack) : w, wanted);
        }
    }
    commit_copies();
}

// Adds one step to a warp's sums.
template <class Tile>
__device__ __forceinline__ void multiply(float (&sums)[Tile::M][Tile::N][4], const Tile& tile,
                                         unsigned step) {
    using T = typename Tile::T;
    using W = typename Tile::W;
    const unsigned lane = lane_idx();
    const unsigned char* stage = tile.stage(step);
    const T* rows = reinterpret_cast<const T*>(stage) +
                    warp_idx() / Tile::WARPS_ACROSS * Tile::WARP_ROWS * Tile::X_STRIDE;
    const unsigned char* columns =
        stage + Tile::X_BYTES + warp_idx() % Tile::WARPS_ACROSS * Tile::WARP_COLUMNS * W::STRIDE;
    typename W::Head heads[Tile::N];
#pragma unroll
    for (unsigned n = 0; n < Tile::N; n++) {
        heads[n] = W::head(columns + (n * 8 + lane / 4) * W::STRIDE, step);
    }
#pragma unroll
    for (unsigned k = 0; k < W::STEP; k += W::UNIT) {
        unsigned x[W::UNIT / 16][Tile::M][4];
#pragma unroll
        for (unsigned i = 0; i < W::UNIT / 16; i++) {
#pragma unroll
            for (unsigned m = 0; m < Tile::M; m++) {
                const T* row = rows + (m * 16 + lane % 16) * Tile::X_STRIDE;
                ldmatrix(x[i][m], row + k + i * 16 + lane / 16 * 8);
            }
        }
#pragma unroll
        for (unsigned n = 0; n < Tile::N; n += 2) {
            unsigned w[W::UNIT / 16][4];
            W::load(w, columns + n * 8 * W::STRIDE, heads + n, k);
#pragma unroll
            for (unsigned i = 0; i < W::UNIT / 16; i++) {
#pragma unroll
                for (unsigned m = 0; m < Tile::M; m++) {
                    mma<T>(sums[m][n], x[i][m], {w[i][0], w[i][1]});
                    mma<T>(sums[m][n + 1], x[i][m], {w[i][2], w[i][3]});
                }
            }
        }
    }
}

// Writes a warp's sums.
template <class Tile, class T>
__device__ __forceinline__ void write(const float (&sums)[Tile::M][Tile::N][4],
                                      const Product<T>& in, const Part& part) {
    const unsigned lane = lane_idx();
    const unsigned row_start = part.first + warp_idx() / Tile::WARPS_ACROSS * Tile::WARP_ROWS;
    const unsigned column_start = part.column + warp_idx() % Tile::WARPS_ACROSS * Tile::WARP_COLUMNS;
#pragma unroll
    for (unsigned m = 0; m < Tile::M; m++) {
#pragma unroll
        for (unsigned n = 0; n < Tile::N; n++) {
#pragma unroll
            for (unsigned half = 0; half < 2; half++) {
                const unsigned place = row_start + m * 16 + half * 8 + lane / 4;
                const unsigned column = column_start + n * 8 + lane % 4 * 2;
                if (place >= part.end || column >= in.n) continue;
                store_pair(in.y + size_t(place) * in.n + column, sums[m][n][2 * half],
                           sums[m][n][2 * half + 1]);
            }
        }
    }
}

// Launch: 4 warps for each tile of ROWS by COLUMNS of each expert, in the order of `part_of_block`.
//
// Limits: x at an address of 16 bytes, its rows too, so k a multiple of 8; the matrices and their
// rows at addresses of PACK bytes; a quantised row of whole steps; n even, y at addresses of two
// elements.
template <class Tile>
__device__ void moe_matmul(const Product<typename Tile::T>& in) {
    DYNAMIC_SHARED(shared);
    const Tile tile = {shared};
    const Part part = part_of_block(in.starts, in.e, in.n, Tile::ROWS, Tile::COLUMNS);
    if (part.first == part.end) return;
    for (unsigned row = threadIdx.x; row < Tile::ROWS; row += blockDim.x) {
        const unsigned place = part.first + row;
        if (place < part.end) tile.rows()[row] = in.row(place);
    }
    // The copies of one thread go by the rows that others have found.
    BARRIER();
    float sums[Tile::M][Tile::N][4] = {};
    for (unsigned step = 0; step < Tile::N_STAGES - 1; step++) fetch(tile, in, part, step);
    const unsigned n_steps = div_ceil(in.k, Tile::W::STEP);
    for (unsigned step = 0; step < n_steps; step++) {
        WAIT_COPIES(Tile::N_STAGES - 2);
        // All threads' copies of this step have arrived, and all have done with the step before,
        // whose stage the next copies take.
        BARRIER();
        fetch(tile, in, part, step + Tile::N_STAGES - 1);
        multiply(sums, tile, step);
    }
    write<Tile>(sums, in, part);
}

constexpr unsigned PLAIN_TILE = 16;

// Launch: 256 threads for each tile of 16 rows and 16 columns of each expert, one sum a thread.
template <class T, class W>
__device__ void moe_matmul_plain(const Product<T>& in) {
    DYNAMIC_SHARED(shared);
    const Part part = part_of_block(in.starts, in.e, in.n, PLAIN_TILE, PLAIN_TILE);
    if (part.first == part.end) return;
    // One more than a row holds, so that a column's lanes read from different banks.
    constexpr unsigned STRIDE = WARP + 1;
    float* x = reinterpret_cast<float*>(shared);
    float* w = x + PLAIN_TILE * STRIDE;
    const unsigned char* matrix = in.w[part.expert];
    const unsigned row = threadIdx.x / PLAIN_TILE, column = threadIdx.x % PLAIN_TILE;
    float sum = 0;
    for (unsigned k_start = 0; k_start < in.k; k_start += WARP) {
        for (unsigned i = threadIdx.x; i < PLAIN_TILE * WARP; i += blockDim.x) {
            const unsigned k = k_start + i % WARP, at = i / WARP * STRIDE + i % WARP;
            const unsigned place = part.first + i / WARP, n = part.column + i / WARP;
            const bool has_row = place < part.end && k < in.k, has_column = n < in.n && k < in.k;
            x[at] = has_row ? to_f32(in.x[size_t(in.row(place)) * in.k + k]) : 0;
            w[at] = has_column ? W::at(matrix + n * W::row_bytes(in.k), k) : 0;
        }
        BARRIER();
        for (unsigned k = 0; k < WARP; k++) sum += x[row * STRIDE + k] * w[column * STRIDE + k];
        // The next step takes the place of this one.
        BARRIER();
    }
    if (part.first + row < part.end && part.column + column < in.n) {
        in.y[size_t(part.first + row) * in.n + part.column + column] = from_f32<T>(sum);
    }
}

// How the matrices of experts are stored, and how a step of their rows comes into registers.
//
// The rows of a matrix [n, k] are the columns of the product. A block copies a step of some of them
// into shared memory as they are stored; a warp then takes two tiles of 8 columns at a time into the
// fragments of `mma`, and what is quantised becomes T there, in registers: so a matrix is read from
// memory and kept in shared memory at its stored size, and the activations are not rounded.
//
// A format says:
//   row_bytes(k)          bytes of a row; ROWS begin at multiples of PACK bytes where it is copied
//   STEP, PACK, PACKS     elements of a step; bytes of one copy, and copies, of a column's step
//   source(step, pack)    where in the row that copy begins
//   has(k, step, pack)    whether the row goes so far
//   STRIDE                bytes between columns in shared memory, such that the 8 columns of a tile
//                         lie in different banks
//   UNIT                  elements that `load` makes fragments of, 16 for each `mma`
//   Head, head            what is kept of a column throughout a step
//   at(row, k)            one element, for the plain kernel
#pragma once
#include "../device/floats.cuh"
#include "../device/tensor_core.cuh"

// Elements of T, as they are.
template <class T, unsigned STEP_>
struct Dense {
    static constexpr unsigned STEP = STEP_, PACK = 16, PACKS = STEP / 8, UNIT = 16;
    // 16 bytes more than a step spread 8 columns over all banks.
    static constexpr unsigned STRIDE = STEP * 2 + PACK;
    struct Head {};

    static __device__ __forceinline__ size_t row_bytes(unsigned k) { return size_t(k) * sizeof(T); }
    static __device__ __forceinline__ size_t source(unsigned step, unsigned pack) {
        return (size_t(step) * PACKS + pack) * PACK;
    }
    static __device__ __forceinline__ bool has(unsigned k, unsigned step, unsigned pack) {
        return step * STEP + pack * 8 < k;
    }
    static __device__ __forceinline__ Head head(const unsigned char*, unsigned) { return {}; }
    static __device__ __forceinline__ void load(unsigned (&out)[1][4], const unsigned char* columns,
                                                const Head*, unsigned k) {
        const unsigned lane = lane_idx(), column = lane / 16 * 8 + lane % 8;
        ldmatrix(out[0], columns + column * STRIDE + (k + lane / 8 % 2 * 8) * sizeof(T));
    }
    static __device__ __forceinline__ float at(const unsigned char* row, unsigned k) {
        return to_f32(reinterpret_cast<const T*>(row)[k]);
    }
};

// Byte `at` of `bytes`, less `bias`, as a float: put behind the bits of 2^23, whose last place is 1,
// for a GPU converts integers at a quarter of the rate at which it adds.
__device__ __forceinline__ float number(unsigned bytes, unsigned at, float bias) {
    return __uint_as_float(__byte_perm(bytes, 0x4b000000u, 0x7440 + at)) - (8388608.0f + bias);
}

// GGML's q8_0: blocks of 32 signed bytes behind one f16 scale.
template <class T>
struct Q8_0 {
    using Element = T;
    static constexpr unsigned BLOCK_BYTES = 34;
    // Four blocks: 136 bytes, which begin at multiples of 8 where k is a multiple of a step.
    static constexpr unsigned STEP = 128, PACK = 8, PACKS = 17, UNIT = 32;
    static constexpr unsigned STRIDE = 144;
    struct Head {};

    static __device__ __forceinline__ size_t row_bytes(unsigned k) {
        return size_t(k / 32) * BLOCK_BYTES;
    }
    static __device__ __forceinline__ size_t source(unsigned step, unsigned pack) {
        return (size_t(step) * PACKS + pack) * PACK;
    }
    static __device__ __forceinline__ bool has(unsigned, unsigned, unsigned) { return true; }
    static __device__ __forceinline__ Head head(const unsigned char*, unsigned) { return {}; }

    static __device__ __forceinline__ float scale(const unsigned char* block) {
        return to_f32(*reinterpret_cast<const f16*>(block));
    }
    // With its highest bit turned a signed byte is an unsigned one, 128 larger.
    static constexpr unsigned TURN = 0x80808080u;
    static constexpr float BIAS = 128;

    static __device__ __forceinline__ void load(unsigned (&out)[2][4], const unsigned char* columns,
                                                const Head*, unsigned k) {
        const unsigned lane = lane_idx();
#pragma unroll
        for (unsigned tile = 0; tile < 2; tile++) {
            const unsigned char* block =
                columns + (tile * 8 + lane / 4) * STRIDE + k / 32 * BLOCK_BYTES;
            const float d = scale(block);
            const auto* pairs = reinterpret_cast<const unsigned short*>(block + 2) + lane % 4;
#pragma unroll
            for (unsigned i = 0; i < 4; i++) {
                const unsigned pair = pairs[4 * i] ^ TURN;
                out[i / 2][tile * 2 + i % 2] =
                    pair_of<T>(d * number(pair, 0, BIAS), d * number(pair, 1, BIAS));
            }
        }
    }
    static __device__ __forceinline__ float at(const unsigned char* row, unsigned k) {
        const unsigned char* block = row + row_bytes(k);
        return scale(block) * number(block[2 + k % 32] ^ TURN, 0, BIAS);
    }
};

// GGML's q4_k: blocks of 256 four-bit numbers, of which each 32 have a scale and a minimum of 6
// bits; those of a block have an f16 scale each:
//   2 bytes d, 2 bytes dmin, 12 bytes of 6-bit numbers, 128 bytes of nibbles
//   element = d * scale * nibble - dmin * minimum
// The low nibbles of 32 bytes are 32 elements, their high nibbles the next 32.
template <class T>
struct Q4K {
    using Element = T;
    static constexpr unsigned BLOCK_BYTES = 144, HEAD_BYTES = 16;
    // Half a block: its head and 64 bytes of nibbles.
    static constexpr unsigned STEP = 128, PACK = 16, PACKS = 5, UNIT = 32;
    static constexpr unsigned STRIDE = 80;
    // Scales and minima of the four 32 of a step, a byte each.
    struct Head {
        float d, d_min;
        unsigned scales, minima;
    };

    static __device__ __forceinline__ size_t row_bytes(unsigned k) {
        return size_t(k / 256) * BLOCK_BYTES;
    }
    static __device__ __forceinline__ size_t source(unsigned step, unsigned pack) {
        const size_t block = size_t(step / 2) * BLOCK_BYTES;
        return pack ? block + (step % 2 * 4 + pack) * PACK : block;
    }
    static __device__ __forceinline__ bool has(unsigned, unsigned, unsigned) { return true; }

    // The head of a block, for its first or its second half.
    static __device__ __forceinline__ Head head(const unsigned char* block, unsigned step) {
        const auto* d = reinterpret_cast<const f16*>(block);
        const auto* bits = reinterpret_cast<const unsigned*>(block + 4);
        const bool second = step % 2;
        return {to_f32(d[0]), to_f32(d[1]),
                second ? (bits[2] & 0x0f0f0f0fu) | (bits[0] >> 2 & 0x30303030u)
                       : bits[0] & 0x3f3f3f3fu,
                second ? (bits[2] >> 4 & 0x0f0f0f0fu) | (bits[1] >> 2 & 0x30303030u)
                       : bits[1] & 0x3f3f3f3fu};
    }
    static __device__ __forceinline__ float scale(const Head& head, unsigned part) {
        return head.d * number(head.scales, part, 0);
    }
    static __device__ __forceinline__ float minimum(const Head& head, unsigned part) {
        return head.d_min * number(head.minima, part, 0);
    }

    static __device__ __forceinline__ void load(unsigned (&out)[2][4], const unsigned char* columns,
                                                const Head* heads, unsigned k) {
        const unsigned lane = lane_idx(), part = k / 32;
#pragma unroll
        for (unsigned tile = 0; tile < 2; tile++) {
            const float d = scale(heads[tile], part), least = minimum(heads[tile], part);
            const unsigned char* nibbles =
                columns + (tile * 8 + lane / 4) * STRIDE + HEAD_BYTES + part / 2 * 32;
            const auto* pairs = reinterpret_cast<const unsigned short*>(nibbles) + lane % 4;
#pragma unroll
            for (unsigned i = 0; i < 4; i++) {
                const unsigned pair = unsigned(pairs[4 * i]) >> part % 2 * 4 & 0x0f0fu;
                out[i / 2][tile * 2 + i % 2] =
                    pair_of<T>(d * number(pair, 0, 0) - least, d * number(pair, 1, 0) - least);
            }
        }
    }
    static __device__ __forceinline__ float at(const unsigned char* row, unsigned k) {
        const unsigned char* block = row + row_bytes(k);
        const unsigned part = k % 256 / 32;
        const Head of_half = head(block, part / 4);
        const unsigned byte = block[HEAD_BYTES + part / 2 * 32 + k % 32];
        return scale(of_half, part % 4) * number(byte >> part % 2 * 4 & 0xf, 0, 0) -
               minimum(of_half, part % 4);
    }
};

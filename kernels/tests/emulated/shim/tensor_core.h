// `mma.sync` m16n8k16, `ldmatrix` and `cp.async` on the CPU, with the fragments where a GPU has them.
//
// A copy that `cp.async` asks for arrives when its thread waits for it and not before; until then
// its target holds NaN. A missing wait, a buffer overwritten too early or a missing barrier after
// the wait therefore shows.
#pragma once
#include "fibers.h"

namespace emulated {

// One lane's share of d = a * b + c, the 16-bit elements as they lie in registers.
struct MmaOperand {
    const unsigned* a;
    const unsigned* b;
    float* c;
};

template <float (*to_float)(unsigned short)>
void multiply(MmaOperand* lanes[LANES]) {
    // Rows and columns of the fragments, by lane and register, as PTX lays them out.
    static float a[16][16], b[16][8], c[16][8];
    auto half = [](unsigned word, int at) { return to_float((unsigned short)(word >> 16 * at)); };
    for (int lane = 0; lane < LANES; lane++) {
        int group = lane / 4, pair = lane % 4 * 2;
        for (int i = 0; i < 2; i++) {
            for (int reg = 0; reg < 4; reg++) {
                int row = group + reg % 2 * 8, column = pair + i + reg / 2 * 8;
                a[row][column] = half(lanes[lane]->a[reg], i);
                c[group + reg / 2 * 8][pair + reg % 2] = lanes[lane]->c[reg];
            }
            for (int reg = 0; reg < 2; reg++) {
                b[pair + i + reg * 8][group] = half(lanes[lane]->b[reg], i);
            }
        }
    }
    for (int row = 0; row < 16; row++) {
        for (int k = 0; k < 16; k++) {
            for (int column = 0; column < 8; column++) c[row][column] += a[row][k] * b[k][column];
        }
    }
    for (int lane = 0; lane < LANES; lane++) {
        for (int reg = 0; reg < 4; reg++) {
            lanes[lane]->c[reg] = c[lane / 4 + reg / 2 * 8][lane % 4 * 2 + reg % 2];
        }
    }
}

struct LdmatrixOperand {
    const void* row;
    unsigned* out;
};

// Four 8 by 8 matrices: lane 8 m + r gives the address of row r of matrix m.
template <bool TRANSPOSED>
void load_matrices(LdmatrixOperand* lanes[LANES]) {
    for (int matrix = 0; matrix < 4; matrix++) {
        unsigned short elements[8][8];
        for (int row = 0; row < 8; row++) {
            expect_aligned(lanes[matrix * 8 + row]->row, 16);
            memcpy(elements[row], lanes[matrix * 8 + row]->row, 16);
        }
        for (int lane = 0; lane < LANES; lane++) {
            int row = lane / 4, column = lane % 4 * 2;
            unsigned low = TRANSPOSED ? elements[column][row] : elements[row][column];
            unsigned high = TRANSPOSED ? elements[column + 1][row] : elements[row][column + 1];
            lanes[lane]->out[matrix] = low | high << 16;
        }
    }
}

inline void copy_async(void* target, const void* source, unsigned bytes, unsigned source_bytes) {
    expect_aligned(target, bytes);
    expect_aligned(source, bytes);
    memset(target, POISON, bytes);
    here().copies.push_back({static_cast<char*>(target), static_cast<const char*>(source), bytes,
                             source_bytes});
}

inline void commit_copies() { here().groups.push_back(here().copies.size()); }

// Waits until at most `n_left` of the committed groups are under way.
inline void wait_copies(size_t n_left, int number) {
    Fiber& fiber = here();
    if (is_removed(number) || fiber.groups.size() <= n_left) return;
    size_t n_done = fiber.groups.size() - n_left;
    size_t end = fiber.groups[n_done - 1];
    for (size_t i = 0; i < end; i++) {
        const AsyncCopy& copy = fiber.copies[i];
        memset(copy.target, 0, copy.bytes);
        if (copy.source_bytes) memcpy(copy.target, copy.source, copy.source_bytes);
    }
    fiber.copies.erase(fiber.copies.begin(), fiber.copies.begin() + long(end));
    fiber.groups.erase(fiber.groups.begin(), fiber.groups.begin() + long(n_done));
    for (size_t& group : fiber.groups) group -= end;
}

}  // namespace emulated

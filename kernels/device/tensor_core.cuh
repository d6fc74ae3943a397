// The instructions of sm_80 that C++ has no words for; no other file holds PTX.
#pragma once
#include "floats.cuh"

#ifdef __CUDACC__
__device__ __forceinline__ unsigned shared_address(const void* shared) {
    return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

// c += a * b for a 16 by 16 and a 16 by 8 matrix, shared out over the warp as PTX says it.
template <class T>
__device__ __forceinline__ void mma(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]);

template <>
__device__ __forceinline__ void mma<bf16>(float (&c)[4], const unsigned (&a)[4],
                                          const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <>
__device__ __forceinline__ void mma<f16>(float (&c)[4], const unsigned (&a)[4],
                                         const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Loads four 8 by 8 matrices of 16-bit elements: lane `8 m + r` names row r of matrix m, and gets
// two neighbours of each matrix, row `lane / 4`, columns `lane % 4 * 2` and the next.
__device__ __forceinline__ void ldmatrix(unsigned (&out)[4], const void* shared_row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(shared_address(shared_row))
                 : "memory");
}

// The same, each matrix transposed.
__device__ __forceinline__ void ldmatrix_transposed(unsigned (&out)[4], const void* shared_row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(shared_address(shared_row))
                 : "memory");
}

// Starts copying 16 bytes to shared memory, past the first cache, or 8, which cannot pass it; zeros
// when not `wanted`.
template <unsigned BYTES = 16>
__device__ __forceinline__ void copy_async(void* shared, const void* global, bool wanted) {
    static_assert(BYTES == 16 || BYTES == 8, "a copy moves 8 or 16 bytes");
    int source_bytes = wanted ? BYTES : 0;
    if constexpr (BYTES == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                     "l"(global), "r"(source_bytes)
                     : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(shared)),
                     "l"(global), "r"(source_bytes)
                     : "memory");
    }
}

// Closes a group of this thread's copies.
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int N_LEFT>
__device__ __forceinline__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N_LEFT) : "memory");
}

// Waits until at most `n_left` of this thread's groups are under way. Other threads see the copies
// after a barrier.
#define WAIT_COPIES(n_left) wait_copies<n_left>()
#else
template <class T>
void mma(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    emulated::MmaOperand operand = {a, b, c};
    constexpr auto to_float =
        std::is_same<T, bf16>::value ? emulated::bf16_to_f32 : emulated::f16_to_f32;
    emulated::collective<emulated::MmaOperand>(emulated::MMA, operand,
                                               emulated::multiply<to_float>);
}
inline void ldmatrix(unsigned (&out)[4], const void* shared_row) {
    emulated::LdmatrixOperand operand = {shared_row, out};
    emulated::collective(emulated::LDMATRIX, operand, emulated::load_matrices<false>);
}
inline void ldmatrix_transposed(unsigned (&out)[4], const void* shared_row) {
    emulated::LdmatrixOperand operand = {shared_row, out};
    emulated::collective(emulated::LDMATRIX_TRANSPOSED, operand, emulated::load_matrices<true>);
}
template <unsigned BYTES = 16>
void copy_async(void* shared, const void* global, bool wanted) {
    emulated::copy_async(shared, global, BYTES, wanted ? BYTES : 0);
}
inline void commit_copies() { emulated::commit_copies(); }
#define WAIT_COPIES(n_left) emulated::wait_copies(n_left, __COUNTER__)
#endif

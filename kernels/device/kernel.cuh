// What every kernel includes first: barriers, shared memory, and the entry of a kernel.
//
// The same sources are compiled by nvcc for a GPU and by a C++ compiler for the tests that run
// them on the CPU. So a kernel names barriers, waits and shared memory by these macros only: the
// tests number barriers and waits, and leave one out to see whether anybody notices. They do not
// number barriers of a warp: on the CPU every function of a warp waits for all lanes, so that these
// are never missed there, while a GPU may order memory otherwise.
#pragma once

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

// Waits for all threads of the block.
#define BARRIER() __syncthreads()
// Waits for all lanes of the warp.
#define WARP_BARRIER() __syncwarp()
// The memory that a launch asks for beside its grid, aligned for 16-byte access.
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
// Makes a kernel callable by the tests; nothing on a GPU.
#define ENTRY(kernel)
// An address that a wide access needs; a GPU looks by itself, and ends the program.
#define EXPECT_ALIGNED(address, n_bytes)
#else
#include "cuda_on_cpu.h"

#define BARRIER() emulated::barrier(__COUNTER__)
#define WARP_BARRIER() emulated::warp_barrier()
#define DYNAMIC_SHARED(name) unsigned char* name = emulated::machine.shared
#define EXPECT_ALIGNED(address, n_bytes) emulated::expect_aligned(address, n_bytes)
#define ENTRY(kernel)                                                                           \
    extern "C" const char* emulated_##kernel(const emulated::Options* options, void** args,     \
                                             unsigned n_args) {                                 \
        return emulated::enter(#kernel, kernel, *options, args, n_args);                        \
    }
#endif

// Tokens of one block of KV memory, as in `paged.rs`.
constexpr unsigned BLOCK = 32;

constexpr unsigned WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

__device__ __forceinline__ unsigned lane_idx() { return threadIdx.x % WARP; }
__device__ __forceinline__ unsigned warp_idx() { return threadIdx.x / WARP; }

constexpr __host__ __device__ unsigned div_ceil(unsigned a, unsigned b) { return (a + b - 1) / b; }

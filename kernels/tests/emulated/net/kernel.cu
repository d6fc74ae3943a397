// Kernels that are wrong, each in one way that the emulation must report, and two that convert.
#include "../../../device/floats.cuh"
#include "../../../device/reduce.cuh"
#include "../../../device/tensor_core.cuh"

extern "C" __global__ void waits_in_one_warp(unsigned* out) {
    if (warp_idx() == 0) BARRIER();
    out[threadIdx.x] = 1;
}
ENTRY(waits_in_one_warp)

extern "C" __global__ void waits_at_two_places(unsigned* out) {
    if (warp_idx() == 0) {
        BARRIER();
    } else {
        BARRIER();
    }
    out[threadIdx.x] = 1;
}
ENTRY(waits_at_two_places)

extern "C" __global__ void leaves_its_warp(unsigned* out) {
    if (lane_idx() == 5) return;
    out[threadIdx.x] = warp_reduce<Add>(1u);
}
ENTRY(leaves_its_warp)

extern "C" __global__ void divides_its_warp(unsigned* out) {
    if (lane_idx() < 16) {
        out[threadIdx.x] = __ballot_sync(ALL_LANES, 1);
    } else {
        out[threadIdx.x] = __shfl_xor_sync(ALL_LANES, 1u, 1);
    }
}
ENTRY(divides_its_warp)

extern "C" __global__ void writes_beyond_shared(unsigned* out) {
    DYNAMIC_SHARED(shared);
    reinterpret_cast<unsigned*>(shared)[blockDim.x + threadIdx.x] = 1;
    out[threadIdx.x] = 1;
}
ENTRY(writes_beyond_shared)

extern "C" __global__ void reads_before_the_copy(const unsigned* in, unsigned* out) {
    DYNAMIC_SHARED(shared);
    copy_async(shared + 16 * threadIdx.x, in + 4 * threadIdx.x, true);
    commit_copies();
    out[threadIdx.x] = reinterpret_cast<unsigned*>(shared)[4 * threadIdx.x];
    WAIT_COPIES(0);
}
ENTRY(reads_before_the_copy)

extern "C" __global__ void forgets_its_copies(const unsigned* in, unsigned* out) {
    DYNAMIC_SHARED(shared);
    copy_async(shared + 16 * threadIdx.x, in + 4 * threadIdx.x, true);
    out[threadIdx.x] = 1;
}
ENTRY(forgets_its_copies)

extern "C" __global__ void writes_beside(unsigned* out, unsigned n) { out[n] = threadIdx.x; }
ENTRY(writes_beside)

extern "C" __global__ void stores_askew(float* out) {
    store<4>(out + threadIdx.x, Pack<float, 4>{});
}
ENTRY(stores_askew)

template <class T>
__device__ void convert(const float* in, T* narrow, const T* bits, float* wide, unsigned n) {
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) {
        narrow[i] = from_f32<T>(in[i]);
        wide[i] = to_f32(bits[i]);
    }
}

extern "C" __global__ void convert_f16(const float* in, f16* narrow, const f16* bits, float* wide,
                                       unsigned n) {
    convert(in, narrow, bits, wide, n);
}
ENTRY(convert_f16)

extern "C" __global__ void convert_bf16(const float* in, bf16* narrow, const bf16* bits,
                                        float* wide, unsigned n) {
    convert(in, narrow, bits, wide, n);
}
ENTRY(convert_bf16)

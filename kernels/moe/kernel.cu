// A mixture of experts without a look at the routing from the host: choose, sort, multiply, join.
//
//   p = softmax(logits[t])   experts[t] = the k largest of p, best first, ties to the lower index
//   weights[t] = p[experts[t]] / sum(p[experts[t]])
//   places of expert i: all t * k + rank with experts[t, rank] = i, ascending, one expert behind
//   the other in `order`, beginning at starts[i]; `found` is the inverse of `order`
//   y[place] = x[row of place] W[expert]^T                                  (grouped product)
//   out[t] = sum over rank of weights[t, rank] * y[found[t * k + rank]]     (best first)
//
// Four kernels, whose heads are in their files; `launch.rs` says how many blocks each has:
//   moe_route_<type>, moe_sort          `route.cuh`
//   moe_matmul_<format>_<type>_<rows>   `matmul.cuh`, tensor cores, tiles of 16, 64 or 128 rows
//   moe_matmul_plain_<format>_<type>    `matmul.cuh`, any type and shape
//   moe_join_<type>                     below
// The matrices are of that type (`dense`) or quantised (`q8_0`, `q4_k`): `stored.cuh`.
#include "matmul.cuh"
#include "route.cuh"

// Launch: a block for each token. A row's experts are added best first, in f32.
template <class T>
__device__ void moe_join(const T* __restrict__ y, const float* __restrict__ weights,
                         const unsigned* __restrict__ found, T* __restrict__ out, unsigned top_k,
                         unsigned h) {
    const size_t token = blockIdx.x;
    for (unsigned i = threadIdx.x; i < h; i += blockDim.x) {
        float sum = 0;
        for (unsigned rank = 0; rank < top_k; rank++) {
            const size_t place = token * top_k + rank;
            sum += weights[place] * to_f32(y[size_t(found[place]) * h + i]);
        }
        out[token * h + i] = from_f32<T>(sum);
    }
}

#define ROUTE_AND_JOIN(suffix, T)                                                                \
    extern "C" __global__ void moe_route_##suffix(const T* logits, unsigned* experts,            \
                                                  float* weights, unsigned t, unsigned e,        \
                                                  unsigned top_k) {                              \
        moe_route<T>(logits, experts, weights, t, e, top_k);                                     \
    }                                                                                            \
    ENTRY(moe_route_##suffix)                                                                    \
    extern "C" __global__ void moe_join_##suffix(const T* y, const float* weights,               \
                                                 const unsigned* found, T* out, unsigned top_k,  \
                                                 unsigned h) {                                   \
        moe_join<T>(y, weights, found, out, top_k, h);                                           \
    }                                                                                            \
    ENTRY(moe_join_##suffix)

#define PLAIN(suffix, T, W)                                                                      \
    extern "C" __global__ void moe_matmul_plain_##suffix(                                        \
        const T* x, const unsigned char* const* w, const unsigned* starts,                       \
        const unsigned* order, T* y, unsigned e, unsigned top_k, unsigned n, unsigned k) {       \
        moe_matmul_plain<T, W>({x, w, starts, order, y, e, top_k, n, k});                        \
    }                                                                                            \
    ENTRY(moe_matmul_plain_##suffix)

#define MATMUL(suffix, T, Tile)                                                                  \
    extern "C" __global__ void __launch_bounds__(MATMUL_THREADS) moe_matmul_##suffix(            \
        const T* x, const unsigned char* const* w, const unsigned* starts,                       \
        const unsigned* order, T* y, unsigned e, unsigned top_k, unsigned n, unsigned k) {       \
        moe_matmul<Tile>({x, w, starts, order, y, e, top_k, n, k});                              \
    }                                                                                            \
    ENTRY(moe_matmul_##suffix)

// Few rows: the matrices are what is read, so narrow tiles of many bytes on their way.
template <class T>
using DenseFew = MatmulTile<T, Dense<T, 64>, 16, 64, 1, 4>;
template <class W>
using QuantisedFew = MatmulTile<typename W::Element, W, 16, 64, 1, 4>;
// Some rows: each element of a matrix serves 64 of them.
template <class T>
using DenseSome = MatmulTile<T, Dense<T, 32>, 64, 128, 1, 4>;
template <class W>
using QuantisedSome = MatmulTile<typename W::Element, W, 64, 128, 1, 2>;
// Many rows: the multiplications are what takes the time, so tiles of which little is read for
// much arithmetic, from memory and, by warps of 64 by 64, from shared memory.
template <class T>
using DenseMany = MatmulTile<T, Dense<T, 32>, 128, 128, 2, 4>;

#define HALF_KERNELS(suffix, T)                                                                  \
    MATMUL(dense_##suffix##_16, T, DenseFew<T>)                                                  \
    MATMUL(dense_##suffix##_64, T, DenseSome<T>)                                                 \
    MATMUL(dense_##suffix##_128, T, DenseMany<T>)                                                \
    MATMUL(q8_0_##suffix##_16, T, QuantisedFew<Q8_0<T>>)                                         \
    MATMUL(q8_0_##suffix##_64, T, QuantisedSome<Q8_0<T>>)                                        \
    MATMUL(q4_k_##suffix##_16, T, QuantisedFew<Q4K<T>>)                                          \
    MATMUL(q4_k_##suffix##_64, T, QuantisedSome<Q4K<T>>)

// The plain kernel has steps of its own.
template <class T>
using PlainDense = Dense<T, 32>;

#define ANY_KERNELS(suffix, T)                                                                   \
    ROUTE_AND_JOIN(suffix, T)                                                                    \
    PLAIN(dense_##suffix, T, PlainDense<T>)                                                      \
    PLAIN(q8_0_##suffix, T, Q8_0<T>)                                                             \
    PLAIN(q4_k_##suffix, T, Q4K<T>)

ANY_KERNELS(f32, float)
ANY_KERNELS(f16, f16)
ANY_KERNELS(bf16, bf16)
HALF_KERNELS(f16, f16)
HALF_KERNELS(bf16, bf16)

extern "C" __global__ void moe_sort(const unsigned* experts, unsigned* starts, unsigned* order,
                                    unsigned* found, unsigned n_places) {
    sort_places(experts, starts, order, found, n_places);
}
ENTRY(moe_sort)

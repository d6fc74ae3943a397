// Causal attention of a ragged batch over paged keys and values.
//
//   out[r, i] = sum_j softmax_j(scale * q[r, i] . k[j, i / group]) v[j, i / group]
//   j in max(0, p + 1 - window) ..= p, p the position of row r, group = hq / hkv
//
// Layout: q and out [t, hq, d]; pools [n, BLOCK, hkv, d], the block of keys `32 c..32 c + 32` of
// sequence s is tables[s, c]. One type for all; sums in f32, scores in powers of two.
//
// Four kernels; `launch.rs` decides which rows run where and writes their work lists:
//   attend_plain_<type>     any row, any even d (`plain.cuh`)
//   attend_row_<type>_<d>   single rows on tensor cores (`row.cuh`)
//   attend_tile_<type>_<d>  neighbouring rows on tensor cores (`tile.cuh`)
//   merge_<type>            joins the parts of rows whose keys were shared out (`parts.cuh`)
#include "plain.cuh"
#include "row.cuh"
#include "tile.cuh"

#define PLAIN(suffix, T)                                                                        \
    extern "C" __global__ void attend_plain_##suffix(                                           \
        const T* q, const T* k, const T* v, const unsigned* tables, unsigned table_width,       \
        const unsigned* items, T* out, float* parts, unsigned hq, unsigned hkv, unsigned d,     \
        float scale) {                                                                          \
        attend_plain<T>({q, k, v, tables, table_width}, items, {out, parts}, {hq, hkv, d},      \
                        scale);                                                                 \
    }                                                                                           \
    ENTRY(attend_plain_##suffix)                                                                \
    extern "C" __global__ void merge_##suffix(const unsigned* items, T* out, float* parts,      \
                                              unsigned hq, unsigned hkv, unsigned d) {          \
        merge<T>(items, {out, parts}, {hq, hkv, d});                                            \
    }                                                                                           \
    ENTRY(merge_##suffix)

#define TENSOR(suffix, T, D)                                                                    \
    extern "C" __global__ void __launch_bounds__(ROW_WARPS * WARP) attend_row_##suffix##_##D(   \
        const T* q, const T* k, const T* v, const unsigned* tables, unsigned table_width,       \
        const unsigned* items, T* out, float* parts, unsigned hq, unsigned hkv, float scale) {  \
        attend_row<T, D>({q, k, v, tables, table_width}, items, {out, parts}, {hq, hkv, D},     \
                         scale);                                                                \
    }                                                                                           \
    ENTRY(attend_row_##suffix##_##D)                                                            \
    extern "C" __global__ void __launch_bounds__(TILE_WARPS * WARP) attend_tile_##suffix##_##D( \
        const T* q, const T* k, const T* v, const unsigned* tables, unsigned table_width,       \
        const unsigned* items, T* out, unsigned hq, unsigned hkv, unsigned window,              \
        float scale) {                                                                          \
        attend_tile<T, D>({q, k, v, tables, table_width}, items, out, {hq, hkv, D}, window,     \
                          scale);                                                               \
    }                                                                                           \
    ENTRY(attend_tile_##suffix##_##D)

#define TENSORS(suffix, T) \
    TENSOR(suffix, T, 64)  \
    TENSOR(suffix, T, 80)  \
    TENSOR(suffix, T, 96)  \
    TENSOR(suffix, T, 128)

PLAIN(f32, float)
PLAIN(f16, f16)
PLAIN(bf16, bf16)
TENSORS(f16, f16)
TENSORS(bf16, bf16)

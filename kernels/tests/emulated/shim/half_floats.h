// f16 and bf16 as bits, with the conversions of a GPU: round to nearest, ties to even.
#pragma once
#include <cstdint>
#include <cstring>

namespace emulated {

struct F16 {
    uint16_t bits;
};
struct Bf16 {
    uint16_t bits;
};

inline float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
inline uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

inline float bf16_to_f32(uint16_t bits) { return float_of(uint32_t(bits) << 16); }

inline uint16_t bf16_of_f32(float x) {
    uint32_t bits = bits_of(x);
    if (x != x) return 0x7fff;
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float f16_to_f32(uint16_t bits) {
    uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 31, rest = bits & 0x3ff;
    if (exponent == 31) return float_of(sign | 0x7f800000 | rest << 13);
    // A subnormal is a multiple of 2^-24, which f32 holds exactly.
    if (exponent == 0) return float_of(sign | bits_of(float(rest) * 5.9604644775390625e-8f));
    return float_of(sign | (exponent + 112) << 23 | rest << 13);
}

inline uint16_t f16_of_f32(float x) {
    uint32_t bits = bits_of(x);
    auto sign = uint16_t(bits >> 16 & 0x8000);
    uint32_t size = bits & 0x7fffffff;
    if (size > 0x7f800000) return 0x7fff;
    if (size >= 0x477ff000) return sign | 0x7c00;
    if (size < 0x38800000) {
        // Adding 0.5 leaves multiples of 2^-24 in the low bits, rounded as f32 rounds.
        return sign | uint16_t(bits_of(float_of(size) + 0.5f) - 0x3f000000);
    }
    return sign | uint16_t((size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13);
}

}  // namespace emulated

// Philox 4x32-10, the twin of `sample/philox.rs`: random bits as a pure function of key and counter.
#pragma once
#include "kernel.cuh"

// What a draw is for, as in `Purpose`.
constexpr unsigned PURPOSE_TOKEN = 0;

// 53 random bits: `Philox::uniform` is these by 2^53.
__device__ __forceinline__ unsigned long long philox_bits53(unsigned key_low, unsigned key_high,
                                                            unsigned position_low,
                                                            unsigned position_high,
                                                            unsigned purpose) {
    unsigned counter[4] = {position_low, position_high, purpose, 0};
    unsigned key[2] = {key_low, key_high};
#pragma unroll
    for (unsigned round = 0; round < 10; round++) {
        const unsigned first_high = __umulhi(0xD2511F53u, counter[0]);
        const unsigned first_low = 0xD2511F53u * counter[0];
        const unsigned second_high = __umulhi(0xCD9E8D57u, counter[2]);
        const unsigned second_low = 0xCD9E8D57u * counter[2];
        counter[0] = second_high ^ counter[1] ^ key[0];
        counter[1] = second_low;
        counter[2] = first_high ^ counter[3] ^ key[1];
        counter[3] = first_low;
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return ((unsigned long long)counter[1] << 32 | counter[0]) >> 11;
}

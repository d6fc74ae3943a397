// Draws one token for each row of logits, by the rule of `sample/mod.rs`:
//
//   logits -> penalties, bias, mask -> weights exp((x - top) / temperature) -> top-k, top-p, min-p
//   -> the token at which the running sum of weights passes u times their sum
//
// u is a function of the row's key and position alone. The running sum goes by falling logit after
// top-k, else by ascending token, as on the CPU, so that both pick the same token but where rounding
// decides. Log-probabilities are those of the logits as they came.
//
// Layout: logits [s, v]; `words` holds one `Row` for each row, then the lists that rows name by
// index; adjusted [s, v] f32 is memory to work in; out is 4 words a row, then reported f32. The words
// are token and log-probability, fault 0; or index and value of a logit that is NaN or plus infinity,
// fault 1; or fault 2 when no token is left.
//
// Launch: a block for each row, 1024 threads where the vocabulary has work for them. A row is read
// twice when the likeliest token is taken, and twice more when one is drawn from all; top-k takes 4
// times more and top-p 5, and a draw behind top-k 3 more. A threshold is found by three histograms
// of 11 bits of the logits, its ties by counting.
//
// Limits: v at most 2^19. Weights below 2^-44 of the largest count as 0.
#include "../device/philox.cuh"
#include "select.cuh"

// One row's parameters; `Plan` in `launch.rs` writes them in this order. Lists are named by their
// first word and their number of entries; of `counts` and `bias` an entry is two words.
struct Row {
    float temperature;
    unsigned top_k;
    float top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
    unsigned is_adjusted;
    unsigned seen, n_seen, counts, n_counts, bias, n_bias;
    unsigned is_masked, mask, n_mask;
    unsigned report, n_report, reported;
    unsigned key_low, key_high, position_low, position_high;
};

enum Fault : unsigned { NONE, NOT_A_NUMBER, NOTHING_LEFT };

// What a launch gives, in `launch.rs`.
constexpr unsigned SHARED_BYTES = 20480;

struct Shared {
    Search search;
    // What each warp finds, apart for each time that the block asks.
    float tops[2][WARP];
    unsigned firsts[2][WARP], bad[WARP];
    Whole sums[WARP], weights[WARP], weights_kept[WARP];
};

__device__ __forceinline__ void write_row(unsigned* out, unsigned token, float value, Fault fault) {
    if (threadIdx.x != 0) return;
    out[4 * blockIdx.x] = token;
    out[4 * blockIdx.x + 1] = __float_as_uint(value);
    out[4 * blockIdx.x + 2] = fault;
    out[4 * blockIdx.x + 3] = 0;
}

// exp(x) in units, for x of at most 0.
__device__ __forceinline__ Whole whole_exp(float x) { return Whole(expf(x) * UNIT); }

// Penalties, then bias; a token stands once in `seen` and once in `counts`, and in `bias` behind its
// like, whose first thread takes all. Each operation rounds, as on the CPU.
__device__ __forceinline__ void adjust(float* logits, unsigned v, const Row& row,
                                       const unsigned* words) {
    for (unsigned i = threadIdx.x; i < row.n_seen; i += blockDim.x) {
        float& logit = logits[words[row.seen + i]];
        logit = logit > 0 ? logit / row.repetition_penalty : logit * row.repetition_penalty;
    }
    BARRIER();
    for (unsigned i = threadIdx.x; i < row.n_counts; i += blockDim.x) {
        const unsigned* entry = words + row.counts + 2 * i;
        const float often = __fmul_rn(row.frequency_penalty, float(entry[1]));
        logits[entry[0]] -= __fadd_rn(often, row.presence_penalty);
    }
    BARRIER();
    const unsigned* bias = words + row.bias;
    for (unsigned i = threadIdx.x; i < row.n_bias; i += blockDim.x) {
        const unsigned token = bias[2 * i];
        if (i > 0 && bias[2 * i - 2] == token) continue;
        for (unsigned j = i; j < row.n_bias && bias[2 * j] == token; j++) {
            logits[token] += __uint_as_float(bias[2 * j + 1]);
        }
    }
    BARRIER();
    for (unsigned token = threadIdx.x; row.is_masked && token < v; token += blockDim.x) {
        const unsigned word = token / 32 < row.n_mask ? words[row.mask + token / 32] : 0;
        if (!(word >> token % 32 & 1)) logits[token] = -INFINITE;
    }
}

// Draws from the adjusted logits; `top` is their largest.
__device__ __forceinline__ unsigned draw(Shared& shared, const float* logits, unsigned v,
                                         const Row& row, float top) {
    Search& search = shared.search;
    const float rate = fminf(1 / row.temperature, 3.402823466e38f);
    const auto weight = [=](unsigned key) { return whole_exp((of_key(key) - top) * rate); };
    Cut cut = {0, 0xffffffffu};
    // The token at which a running sum over falling keys reaches `goal`, as a cut behind it.
    const auto reach = [&](Whole goal, auto measure) {
        Whole passed;
        const unsigned key = find_key(search, logits, v, goal, passed, [&](unsigned k, unsigned t) {
            return cut.keeps(k, t) ? measure(k) : 0;
        });
        const Whole each = measure(key);
        const Whole n_ties = (goal - passed + each - 1) / each;
        const unsigned tie = find_token(search, logits, v, n_ties, [&](unsigned k, unsigned t) {
            return Whole(k == key && cut.keeps(k, t));
        });
        return Cut{key, tie};
    };
    const bool by_rank = row.top_k > 0 && row.top_k < v;
    if (by_rank) cut = reach(row.top_k, [](unsigned) { return Whole(1); });
    if (row.top_p < 1) {
        Whole all = 0;
        each_token(logits, v, [&](float logit, unsigned token) {
            const unsigned key = key_of(logit);
            if (cut.keeps(key, token)) all += weight(key);
        });
        all = block_reduce<Add>(all, Whole(0), shared.weights);
        const Whole goal = Whole(ceil(double(all) * double(row.top_p)));
        cut = reach(goal < 1 ? 1 : goal > all ? all : goal, weight);
    }
    const auto kept_weight = [&](unsigned key) {
        const float share = expf((of_key(key) - top) * rate);
        return share < row.min_p ? 0 : Whole(share * UNIT);
    };
    Whole all = 0;
    each_token(logits, v, [&](float logit, unsigned token) {
        const unsigned key = key_of(logit);
        if (cut.keeps(key, token)) all += kept_weight(key);
    });
    all = block_reduce<Add>(all, Whole(0), shared.weights_kept);
    const Whole bits = philox_bits53(row.key_low, row.key_high, row.position_low,
                                     row.position_high, PURPOSE_TOKEN);
    // Above u times the sum: one more than that rounded down.
    const Whole goal = __umul64hi(bits << 11, all) + 1;
    if (by_rank) return reach(goal, kept_weight).tie;
    return find_token(search, logits, v, goal, [&](unsigned key, unsigned token) {
        return cut.keeps(key, token) ? kept_weight(key) : 0;
    });
}

// The largest logit and where it stands first.
struct Top {
    float logit;
    unsigned token;
};

constexpr Top NO_TOP = {-INFINITE, 0xffffffffu};

// The top of all threads' tops; `turn` counts the calls, which have memory of their own.
__device__ __forceinline__ Top top_of_all(Shared& shared, Top mine, unsigned turn) {
    const float top = block_reduce<Larger>(mine.logit, -INFINITE, shared.tops[turn]);
    const unsigned token = mine.logit == top ? mine.token : 0xffffffffu;
    return {top, block_reduce<Smaller>(token, 0xffffffffu, shared.firsts[turn])};
}

template <class T>
__device__ void sample(const T* __restrict__ logits, const unsigned* __restrict__ words,
                       float* __restrict__ adjusted, unsigned* __restrict__ out, unsigned v) {
    DYNAMIC_SHARED(memory);
    static_assert(sizeof(Shared) <= SHARED_BYTES, "the launch gives less");
    Shared& shared = *reinterpret_cast<Shared*>(memory);
    const Row& row = reinterpret_cast<const Row*>(words)[blockIdx.x];
    logits += size_t(blockIdx.x) * v;
    adjusted += size_t(blockIdx.x) * v;

    // A thread reads no token but its own until `adjust`, so the barriers of the reductions do.
    unsigned bad = 0xffffffffu;
    Top top = NO_TOP;
    each_token(logits, v, [&](float logit, unsigned token) {
        adjusted[token] = logit;
        if (!(logit < INFINITE)) bad = min(bad, token);
        if (logit > top.logit) top = {logit, token};
    });
    bad = block_reduce<Smaller>(bad, 0xffffffffu, shared.bad);
    if (bad < v) return write_row(out, bad, to_f32(logits[bad]), NOT_A_NUMBER);
    top = top_of_all(shared, top, 0);
    if (top.logit == -INFINITE) return write_row(out, 0, 0, NOTHING_LEFT);
    Whole sum = 0;
    each_token(adjusted, v, [&](float logit, unsigned) { sum += whole_exp(logit - top.logit); });
    sum = block_reduce<Add>(sum, Whole(0), shared.sums);
    const float top_before = top.logit;
    const auto logprob = [=](unsigned token) {
        const double log_sum = double(top_before) + log(double(sum) / double(UNIT));
        return float(double(to_f32(logits[token])) - log_sum);
    };

    if (row.is_adjusted) {
        adjust(adjusted, v, row, words);
        top = NO_TOP;
        each_token(adjusted, v, [&](float logit, unsigned token) {
            if (logit > top.logit) top = {logit, token};
        });
        top = top_of_all(shared, top, 1);
        if (top.logit == -INFINITE) return write_row(out, 0, 0, NOTHING_LEFT);
    }
    const bool is_drawn = row.temperature > 0 && row.top_k != 1;
    const unsigned token = is_drawn ? draw(shared, adjusted, v, row, top.logit) : top.token;
    if (threadIdx.x == 0) write_row(out, token, logprob(token), NONE);
    float* reported = reinterpret_cast<float*>(out + 4 * size_t(gridDim.x)) + row.reported;
    for (unsigned i = threadIdx.x; i < row.n_report; i += blockDim.x) {
        reported[i] = logprob(words[row.report + i]);
    }
}

#define KERNEL(suffix, T)                                                                       \
    extern "C" __global__ void __launch_bounds__(1024)                                          \
        sample_##suffix(const T* logits, const unsigned* words, float* adjusted, unsigned* out, \
                        unsigned v) {                                                           \
        sample<T>(logits, words, adjusted, out, v);                                             \
    }                                                                                           \
    ENTRY(sample_##suffix)

KERNEL(f32, float)
KERNEL(f16, f16)
KERNEL(bf16, bf16)

// Threads of a block as fibers: each has a stack, and runs until it waits for others or ends.
//
// One block runs at a time and one fiber in it, so that a run is the same every time. A warp runs
// as far ahead of the others as barriers let it, and a lane as far as its warp lets it: what a
// missing barrier leaves open then goes wrong in the test, while a GPU would hide it most days.
// Blocks of odd index run their warps and lanes backwards, for a race has two directions.
//
// Everything here is one block's state in plain globals: the caller holds a lock.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "memory.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulated {

struct Dim3 {
    unsigned x, y, z;
};

constexpr int LANES = 32;
constexpr int N_THREADS_MAX = 1024;
constexpr size_t STACK_BYTES = 64 << 10;
// Barriers and waits in one source file.
constexpr unsigned N_PLACES_MAX = 256;

#if defined(__x86_64__)
// Saves the registers that a call must keep on the stack left, and loads those of the one entered.
extern "C" void emulated_switch(void** left, void* entered);
asm(R"(
    .text
    .hidden emulated_switch
    .globl emulated_switch
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

struct Context {
    void* top = nullptr;

    void prepare(char* stack, void (*entry)()) {
        // The frame that `emulated_switch` pops: six registers and the address it returns to, so
        // placed that `entry` finds the stack aligned as after a call.
        auto frame = reinterpret_cast<uintptr_t>(stack + STACK_BYTES) & ~uintptr_t(15);
        auto** words = reinterpret_cast<void**>(frame) - 8;
        memset(words, 0, 8 * sizeof *words);
        words[6] = reinterpret_cast<void*>(entry);
        top = words;
    }
    void enter(Context& other) { emulated_switch(&top, other.top); }
};
#else
struct Context {
    ucontext_t saved;

    void prepare(char* stack, void (*entry)()) {
        getcontext(&saved);
        saved.uc_stack.ss_sp = stack;
        saved.uc_stack.ss_size = STACK_BYTES;
        saved.uc_link = nullptr;
        makecontext(&saved, entry, 0);
    }
    void enter(Context& other) { swapcontext(&saved, &other.saved); }
};
#endif

// A copy that has been asked for and not waited for; `source_bytes` below `bytes` means zeros.
struct AsyncCopy {
    char* target;
    const char* source;
    unsigned bytes, source_bytes;
};

enum class State { Ready, AtCollective, AtBarrier, Ended };

struct Fiber {
    Context context;
    State state;
    unsigned thread_idx;
    // Barrier or kind of collective waited at, and the operand that the collective works on.
    int place;
    void* operand;
    std::vector<AsyncCopy> copies;
    // Ends of the committed groups in `copies`.
    std::vector<size_t> groups;
};

struct Machine {
    Fiber fibers[N_THREADS_MAX];
    char* stacks = nullptr;
    Context outside;
    int current = -1;
    Dim3 grid, block_idx;
    unsigned n_threads, shared_bytes;
    unsigned char* shared = nullptr;
    void (*body)(void*);
    void* body_data;
    // Barrier or wait that a mutation leaves out; none when negative.
    int removed = -1;
    bool visited[N_PLACES_MAX];
    char failure[512];
    const char* kernel;
};
inline Machine machine;

inline Fiber& here() { return machine.fibers[machine.current]; }

// Ends the launch with a report; the fibers are dropped where they stand.
template <class... Values>
void fail(const char* format, Values... values) {
    int len = snprintf(machine.failure, sizeof machine.failure, "%s, block (%u, %u, %u), thread %d: ",
                       machine.kernel, machine.block_idx.x, machine.block_idx.y,
                       machine.block_idx.z, machine.current);
    snprintf(machine.failure + len, sizeof machine.failure - len, format, values...);
    if (machine.current >= 0) here().context.enter(machine.outside);
}

inline void expect_aligned(const void* address, size_t bytes) {
    if (reinterpret_cast<uintptr_t>(address) % bytes == 0) return;
    fail("an access of %zu bytes at %p is misaligned", bytes, address);
}

inline void run_body() {
    machine.body(machine.body_data);
    if (!here().copies.empty()) fail("ends with %zu copies not waited for", here().copies.size());
    here().state = State::Ended;
    here().context.enter(machine.outside);
}

inline void wait_as(State state, int place) {
    here().state = state;
    here().place = place;
    here().context.enter(machine.outside);
}

// Whether a barrier or wait is left out in this run.
inline bool is_removed(int number) {
    machine.visited[unsigned(number) % N_PLACES_MAX] = true;
    return number == machine.removed;
}

inline void barrier(int number) {
    if (!is_removed(number)) wait_as(State::AtBarrier, number);
}

// Waits for the whole warp; its last lane then runs `together` on the operands of all lanes.
template <class Operand>
void collective(int kind, Operand& operand, void (*together)(Operand* lanes[LANES])) {
    here().operand = &operand;
    Fiber* warp = machine.fibers + machine.current / LANES * LANES;
    for (int lane = 0; lane < LANES; lane++) {
        Fiber& other = warp[lane];
        if (&other == &here()) continue;
        if (other.state != State::AtCollective) return wait_as(State::AtCollective, kind);
        if (other.place != kind) fail("lanes of one warp wait in different warp functions");
    }
    Operand* lanes[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        lanes[lane] = static_cast<Operand*>(warp[lane].operand);
        warp[lane].state = State::Ready;
    }
    together(lanes);
}

inline void resume(int thread) {
    machine.current = thread;
    machine.outside.enter(machine.fibers[thread].context);
    machine.current = -1;
}

// Runs a warp until all of its lanes wait for other warps, or for lanes that never come.
inline bool run_warp(int warp, bool backwards) {
    bool moved = false;
    for (bool again = true; again && !machine.failure[0];) {
        again = false;
        for (int i = 0; i < LANES && !machine.failure[0]; i++) {
            int thread = warp * LANES + (backwards ? LANES - 1 - i : i);
            if (machine.fibers[thread].state != State::Ready) continue;
            resume(thread);
            moved = again = true;
        }
    }
    return moved;
}

inline void report_stuck() {
    unsigned n_at_barrier = 0, n_ended = 0;
    for (unsigned i = 0; i < machine.n_threads; i++) {
        n_at_barrier += machine.fibers[i].state == State::AtBarrier;
        n_ended += machine.fibers[i].state == State::Ended;
    }
    fail("stuck: of %u threads %u wait at a barrier, %u have ended, the rest wait for their warp",
         machine.n_threads, n_at_barrier, n_ended);
}

// Lets all threads pass when all wait at the same barrier; returns whether the block has ended.
inline bool release_barrier() {
    Fiber& first = machine.fibers[0];
    for (unsigned i = 1; i < machine.n_threads; i++) {
        Fiber& other = machine.fibers[i];
        bool apart = other.state == State::AtBarrier && other.place != first.place;
        if (other.state != first.state || apart) return report_stuck(), true;
    }
    if (first.state == State::AtCollective) return report_stuck(), true;
    if (first.state == State::Ended) return true;
    for (unsigned i = 0; i < machine.n_threads; i++) machine.fibers[i].state = State::Ready;
    return false;
}

inline void run_block(bool backwards) {
    memset(machine.shared, POISON, machine.shared_bytes);
    for (unsigned i = 0; i < machine.n_threads; i++) {
        Fiber& fiber = machine.fibers[i];
        fiber.state = State::Ready;
        fiber.thread_idx = i;
        fiber.copies.clear();
        fiber.groups.clear();
        fiber.context.prepare(machine.stacks + i * STACK_BYTES, run_body);
    }
    int n_warps = machine.n_threads / LANES;
    do {
        for (int i = 0; i < n_warps && !machine.failure[0]; i++) {
            run_warp(backwards ? n_warps - 1 - i : i, backwards);
        }
    } while (!machine.failure[0] && !release_barrier());
}

}  // namespace emulated

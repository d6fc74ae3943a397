// A launch from outside: sets the machine up, runs the blocks one by one, and tells what went
// wrong. A fault in a kernel, such as a read behind the end of a buffer, ends the launch with a
// report and not the process.
#pragma once
#include <csignal>
#include <type_traits>
#include <utility>

#include "fibers.h"
#include "memory.h"

namespace emulated {

// What the caller gives beside the arguments; `LaunchOptions` in `device.rs` is its twin.
struct Options {
    unsigned grid[3];
    unsigned n_threads, shared_bytes;
    // Runs the blocks in the reverse of their order.
    unsigned backwards;
    int removed;
};

// What the smallest of our cards (sm_86 and sm_89) lets a block have.
constexpr unsigned SHARED_BYTES_MAX = 99 << 10;

// Set while this thread runs a kernel: a fault elsewhere is not ours.
inline thread_local bool catching = false;
inline struct sigaction fault_before;

inline void on_fault(int signal, siginfo_t* info, void* context) {
    if (catching && machine.current >= 0) {
        fail("touches %p, which is out of bounds", info->si_addr);
    }
    if (fault_before.sa_flags & SA_SIGINFO) return fault_before.sa_sigaction(signal, info, context);
    sigaction(SIGSEGV, &fault_before, nullptr);
}

inline void catch_faults() {
    static bool done = false;
    if (done) return;
    done = true;
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    // Not blocked while handled, for the handler leaves by a switch and never returns.
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, &fault_before);
}

template <class Body>
const char* launch(const char* kernel, const Options& options, Body body) {
    machine.failure[0] = 0;
    memset(machine.visited, 0, sizeof machine.visited);
    machine.kernel = kernel;
    machine.grid = {options.grid[0], options.grid[1], options.grid[2]};
    machine.block_idx = {0, 0, 0};
    machine.n_threads = options.n_threads;
    machine.shared_bytes = options.shared_bytes;
    machine.removed = options.removed;
    machine.body = [](void* data) { (*static_cast<Body*>(data))(); };
    machine.body_data = &body;
    const Dim3 grid = machine.grid;
    bool fits = options.n_threads > 0 && options.n_threads <= N_THREADS_MAX &&
                options.n_threads % LANES == 0 && grid.y <= 65535 && grid.z <= 65535 &&
                options.shared_bytes <= SHARED_BYTES_MAX;
    if (!fits || !grid.x || !grid.y || !grid.z) return "no device takes a launch of this shape";
    if (!machine.stacks) {
        machine.stacks = reinterpret_cast<char*>(allocate(N_THREADS_MAX * STACK_BYTES));
    }
    machine.shared = allocate(options.shared_bytes);
    catch_faults();
    catching = true;
    const uint64_t n_blocks = uint64_t(grid.x) * grid.y * grid.z;
    for (uint64_t i = 0; i < n_blocks && !machine.failure[0]; i++) {
        uint64_t block = options.backwards ? n_blocks - 1 - i : i;
        machine.block_idx = {unsigned(block % grid.x), unsigned(block / grid.x % grid.y),
                             unsigned(block / grid.x / grid.y)};
        run_block((block + options.backwards) % 2);
    }
    catching = false;
    bool intact = is_intact(machine.shared, options.shared_bytes);
    if (!intact && !machine.failure[0]) fail("writes beside the shared memory");
    release(machine.shared, options.shared_bytes);
    return machine.failure[0] ? machine.failure : nullptr;
}

template <class... Args, size_t... I>
const char* unpack(const char* name, void (*kernel)(Args...), const Options& options, void** args,
                   std::index_sequence<I...>) {
    return launch(name, options, [=] {
        kernel(*static_cast<std::remove_reference_t<Args>*>(args[I])...);
    });
}

template <class... Args>
const char* enter(const char* name, void (*kernel)(Args...), const Options& options, void** args,
                  unsigned n_args) {
    if (n_args != sizeof...(Args)) return "the plan gives another number of arguments";
    return unpack(name, kernel, options, args, std::index_sequence_for<Args...>());
}

}  // namespace emulated

extern "C" unsigned char* emulated_allocate(size_t bytes) { return emulated::allocate(bytes); }

extern "C" void emulated_release(unsigned char* memory, size_t bytes) {
    emulated::release(memory, bytes);
}

extern "C" int emulated_is_intact(const unsigned char* memory, size_t bytes) {
    return emulated::is_intact(memory, bytes);
}

// Whether the last launch has come by this barrier or wait.
extern "C" int emulated_visited(unsigned number) {
    return number < emulated::N_PLACES_MAX && emulated::machine.visited[number];
}

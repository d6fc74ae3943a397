// Memory between guard pages: a read or write far outside faults, a write just outside is found by
// looking. All of it starts as NaN, so that what is read without having been
// written shows in the result.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace emulated {

// Every float type reads this byte pattern as NaN, and an index reads it as far out of bounds.
constexpr unsigned char POISON = 0xff;

// Kernels read and write 16 bytes at a time, so memory ends at the guard to within 15 bytes.
constexpr size_t ALIGNMENT = 16;

// What is mapped for one allocation: a guard, the pages of the memory, a guard.
struct Pages {
    size_t page, inner_bytes, all_bytes;
    // Where the memory begins within the pages, so that it ends at the second guard.
    size_t offset;

    explicit Pages(size_t bytes) {
        page = size_t(sysconf(_SC_PAGESIZE));
        size_t aligned = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        inner_bytes = (aligned + page - 1) / page * page;
        all_bytes = inner_bytes + 2 * page;
        offset = page + inner_bytes - aligned;
    }
};

inline unsigned char* allocate(size_t bytes) {
    Pages pages(bytes);
    void* mapped = mmap(nullptr, pages.all_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    auto* start = static_cast<unsigned char*>(mapped);
    mprotect(start + pages.page, pages.inner_bytes, PROT_READ | PROT_WRITE);
    memset(start + pages.page, POISON, pages.inner_bytes);
    return start + pages.offset;
}

// Whether nothing beside the memory was written.
inline bool is_intact(const unsigned char* memory, size_t bytes) {
    Pages pages(bytes);
    const unsigned char* first = memory - pages.offset + pages.page;
    const unsigned char* end = first + pages.inner_bytes;
    bool intact = true;
    for (const unsigned char* at = first; at < memory; at++) intact &= *at == POISON;
    for (const unsigned char* at = memory + bytes; at < end; at++) intact &= *at == POISON;
    return intact;
}

inline void release(unsigned char* memory, size_t bytes) {
    Pages pages(bytes);
    munmap(memory - pages.offset, pages.all_bytes);
}

}  // namespace emulated

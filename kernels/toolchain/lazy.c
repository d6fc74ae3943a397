/* A CUDA library as an archive that opens the real one at the first call.
 *
 * candle links the CUDA libraries by name, so that a plain CUDA build does not even start where
 * they are absent. The linker takes libX.a where no folder holds a libX.so: with these archives
 * the binary starts anywhere, and a call into an absent library returns that library's own error.
 * Needs no header of CUDA, and must not know what the functions do: each is a door that jumps to
 * the real function with every argument where the caller put it. x86-64 and ELF only.
 *
 * `setup` compiles this once for each library, with
 *   NAMES   file of lines DOOR(name), one for each function
 *   SONAME  what is opened
 *   ABSENT  what a function returns when the library, or the function in it, is absent
 *   QUIET   1 where the error's own text is enough, 0 where the reason goes to stderr
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOOR(name) #name,
static const char *const names[] = {
#include NAMES
};
#undef DOOR

/* Where each door leads; null until its first call. */
static void *lazy_targets[sizeof names / sizeof *names] __attribute__((used));

static void *library;
static char reason[1024];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_library(void) {
    library = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
    if (library) return;
    snprintf(reason, sizeof reason, "%s", dlerror());
    if (!QUIET) fprintf(stderr, "cuda: %s; add its folder to LD_LIBRARY_PATH\n", reason);
}

/* What stands in for a function that is not there: its error, or the text of one. */
static long absent(void) { return ABSENT; }
static const char *absent_text(void) { return reason; }
static int absent_text_into(int error, const char **text) {
    (void)error;
    *text = reason;
    return 0;
}

static void *stand_in(const char *name) {
    if (!strcmp(name, "cuGetErrorString") || !strcmp(name, "cuGetErrorName"))
        return (void *)absent_text_into;
    if (strstr(name, "GetErrorString") || strstr(name, "GetStatusString") || strstr(name, "GetStatusName"))
        return (void *)absent_text;
    return (void *)absent;
}

static void *lazy_find(unsigned long door) __attribute__((used));
static void *lazy_find(unsigned long door) {
    pthread_once(&once, open_library);
    void *target = library ? dlsym(library, names[door]) : 0;
    if (!target) {
        if (library) snprintf(reason, sizeof reason, "%s has no %s", SONAME, names[door]);
        target = stand_in(names[door]);
    }
    __atomic_store_n(&lazy_targets[door], target, __ATOMIC_RELEASE);
    return target;
}

/* A door loads its number into r11 and jumps on by the table. The first time it goes by way of
 * lazy_find, around which all registers that may hold arguments are kept: six integers, eight
 * vectors, and al, which counts the vectors of a variadic call. */
#define DOOR(name)                                                                                 \
    ".globl " #name "\n.type " #name ", @function\n" #name ":\n"                                   \
    "  mov $lazy_number, %r11d\n  jmp lazy_enter\n"                                                \
    ".size " #name ", . - " #name "\n.set lazy_number, lazy_number + 1\n"

__asm__(
    ".text\n.p2align 4\n"
    "lazy_enter:\n"
    "  lea lazy_targets(%rip), %r10\n"
    "  mov (%r10,%r11,8), %r10\n"
    "  test %r10, %r10\n"
    "  jz 1f\n"
    "  jmp *%r10\n"
    "1: push %rbp\n  mov %rsp, %rbp\n  and $-16, %rsp\n  sub $192, %rsp\n"
    "  movups %xmm0, (%rsp)\n  movups %xmm1, 16(%rsp)\n  movups %xmm2, 32(%rsp)\n"
    "  movups %xmm3, 48(%rsp)\n  movups %xmm4, 64(%rsp)\n  movups %xmm5, 80(%rsp)\n"
    "  movups %xmm6, 96(%rsp)\n  movups %xmm7, 112(%rsp)\n"
    "  mov %rdi, 128(%rsp)\n  mov %rsi, 136(%rsp)\n  mov %rdx, 144(%rsp)\n"
    "  mov %rcx, 152(%rsp)\n  mov %r8, 160(%rsp)\n  mov %r9, 168(%rsp)\n  mov %rax, 176(%rsp)\n"
    "  mov %r11, %rdi\n  call lazy_find\n  mov %rax, %r10\n"
    "  movups (%rsp), %xmm0\n  movups 16(%rsp), %xmm1\n  movups 32(%rsp), %xmm2\n"
    "  movups 48(%rsp), %xmm3\n  movups 64(%rsp), %xmm4\n  movups 80(%rsp), %xmm5\n"
    "  movups 96(%rsp), %xmm6\n  movups 112(%rsp), %xmm7\n"
    "  mov 128(%rsp), %rdi\n  mov 136(%rsp), %rsi\n  mov 144(%rsp), %rdx\n"
    "  mov 152(%rsp), %rcx\n  mov 160(%rsp), %r8\n  mov 168(%rsp), %r9\n  mov 176(%rsp), %rax\n"
    "  leave\n  jmp *%r10\n"
    ".set lazy_number, 0\n"
#include NAMES
);

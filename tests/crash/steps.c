/* Counts the system calls by which a process changes files below one folder, and kills the process at the n-th.
 *
 * Loaded by LD_PRELOAD, so that SQLite, delta-rs, Arrow, DuckDB and Python are seen alike. `steps_arm(root, n, torn)`
 * begins to count; the process gets SIGKILL before its n-th step, or, when `torn` and the step is a write, after half
 * of its bytes. `steps_count()` tells how many there were. STEPS_TRACE in the environment prints them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static atomic_long count;
static long fatal;
static int torn;

void steps_arm(const char *folder, long at, int halves) {
    atomic_store(&count, 0);
    fatal = at;
    torn = halves;
    strncpy(root, folder, sizeof root - 1);
}

long steps_count(void) { return atomic_load(&count); }

static int below(int folder, const char *path) {
    char held[PATH_MAX], name[64];
    if (!root[0]) return 0;
    if (!path || path[0] != '/') {
        snprintf(name, sizeof name, "/proc/self/fd/%d", folder);
        ssize_t size = readlink(name, held, sizeof held - 1);
        if (size < 0) return 0;
        held[size] = 0;
        path = held;
    }
    return strncmp(path, root, strlen(root)) == 0;
}

static int step_from(const char *what, const char *from, int folder, const char *path) { /* 1: this is the last one, a torn write */
    if (!below(folder, path)) return 0;
    long at = atomic_fetch_add(&count, 1) + 1;
    if (getenv("STEPS_TRACE")) {
        char held[PATH_MAX] = "", name[64];
        snprintf(name, sizeof name, "/proc/self/fd/%d", folder);
        if (!path) { ssize_t size = readlink(name, held, sizeof held - 1); held[size < 0 ? 0 : size] = 0; }
        fprintf(stderr, "%ld %s %s\t%s\n", at, what, path ? path : held, from);
    }
    if (at != fatal) return 0;
    if (torn && strstr(what, "write")) return 1;
    kill(getpid(), SIGKILL);
    return 0;
}

static int step(const char *what, int folder, const char *path) { return step_from(what, "", folder, path); }

#define REAL(name, type, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define OPEN(symbol) \
    int symbol(const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        REAL(#symbol, int, const char *, int, ...); \
        if (flags & (O_CREAT | O_TRUNC)) step("open", AT_FDCWD, path); \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(symbol) \
    int symbol(int folder, const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        REAL(#symbol, int, int, const char *, int, ...); \
        if (flags & (O_CREAT | O_TRUNC)) step("open", folder, path); \
        return real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int file, const void *bytes, size_t size) {
    REAL("write", ssize_t, int, const void *, size_t);
    if (step("write", file, NULL)) { real(file, bytes, size / 2); kill(getpid(), SIGKILL); }
    return real(file, bytes, size);
}

#define PWRITE(symbol, offset_type) \
    ssize_t symbol(int file, const void *bytes, size_t size, offset_type at) { \
        REAL(#symbol, ssize_t, int, const void *, size_t, offset_type); \
        if (step("pwrite", file, NULL)) { real(file, bytes, size / 2, at); kill(getpid(), SIGKILL); } \
        return real(file, bytes, size, at); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int file, const struct iovec *parts, int many) {
    REAL("writev", ssize_t, int, const struct iovec *, int);
    if (step("writev", file, NULL)) { real(file, parts, many / 2); kill(getpid(), SIGKILL); }
    return real(file, parts, many);
}

#define ON_FILE(symbol, what) \
    int symbol(int file) { \
        REAL(#symbol, int, int); \
        step(what, file, NULL); \
        return real(file); \
    }
ON_FILE(fsync, "fsync")
ON_FILE(fdatasync, "fsync")

#define TRUNCATE(symbol, offset_type) \
    int symbol(int file, offset_type size) { \
        REAL(#symbol, int, int, offset_type); \
        step("truncate", file, NULL); \
        return real(file, size); \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define ON_PATH(symbol) \
    int symbol(const char *path) { \
        REAL(#symbol, int, const char *); \
        step(#symbol, AT_FDCWD, path); \
        return real(path); \
    }
ON_PATH(unlink)
ON_PATH(rmdir)

int unlinkat(int folder, const char *path, int flags) {
    REAL("unlinkat", int, int, const char *, int);
    step("unlink", folder, path);
    return real(folder, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    REAL("mkdir", int, const char *, mode_t);
    step("mkdir", AT_FDCWD, path);
    return real(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    REAL("mkdirat", int, int, const char *, mode_t);
    step("mkdir", folder, path);
    return real(folder, path, mode);
}

#define TWO_PATHS(symbol) \
    int symbol(const char *from, const char *to) { \
        REAL(#symbol, int, const char *, const char *); \
        step_from(#symbol, from, AT_FDCWD, to); \
        return real(from, to); \
    }
TWO_PATHS(rename)
TWO_PATHS(link)

int renameat(int one, const char *from, int other, const char *to) {
    REAL("renameat", int, int, const char *, int, const char *);
    step_from("rename", from, other, to);
    return real(one, from, other, to);
}

int renameat2(int one, const char *from, int other, const char *to, unsigned flags) {
    REAL("renameat2", int, int, const char *, int, const char *, unsigned);
    step_from("rename", from, other, to);
    return real(one, from, other, to, flags);
}

int linkat(int one, const char *from, int other, const char *to, int flags) {
    REAL("linkat", int, int, const char *, int, const char *, int);
    step_from("link", from, other, to);
    return real(one, from, other, to, flags);
}

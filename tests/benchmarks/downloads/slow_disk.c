/* Makes a slow disk out of any: writes and flushes of files below $SLOW_FOLDER take $SLOW_MS milliseconds longer.
   Preloaded into one process (LD_PRELOAD); everything else it does stays as fast as it was. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void wait_if_slow(int file) {
    const char *folder = getenv("SLOW_FOLDER");
    const char *milliseconds = getenv("SLOW_MS");
    char link[64], path[4096];
    if (!folder || !milliseconds)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return;
    path[length] = 0;
    if (strncmp(path, folder, strlen(folder)) != 0)
        return;
    long wanted = atol(milliseconds);
    struct timespec pause = {wanted / 1000, wanted % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

ssize_t write(int file, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "write");
    wait_if_slow(file);
    return real(file, bytes, count);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real)
        real = dlsym(RTLD_NEXT, "writev");
    wait_if_slow(file);
    return real(file, parts, count);
}

int fsync(int file) {
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fsync");
    wait_if_slow(file);
    return real(file);
}

int fdatasync(int file) {
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fdatasync");
    wait_if_slow(file);
    return real(file);
}

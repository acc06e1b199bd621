/*
 * What the power and the clock are to a process, for tests. Loaded with LD_PRELOAD.
 *
 * CHAOS_FILES=DIRECTORY and CHAOS_SYNCED=DIRECTORY: after every fsync or fdatasync of a file below the first, the second holds
 * the file as it was then; after every fsync of a directory, its entries. That is all that a power cut would leave for certain:
 * whoever plays the power cut kills the process and puts back what lies there. Files are known by inode and time of birth, since
 * inode numbers are used again. Each record appears whole or not at all.
 *
 * CHAOS_FAULTS=FILE: a number (8 bytes, this machine's order), read at every look: while its bit 1 is set, writes to files below
 * CHAOS_FILES fail with EIO, while bit 2 is, their syncs do. What was written to a log (a name that ends in `-wal`) and whose
 * sync failed is not kept by a later sync unless it was written again: kernels take such pages for clean and forget them.
 *
 * CHAOS_CLOCK=FILE: a number of seconds (8 bytes, this machine's order) by which the wall clock is off, read at every look.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static const char *files, *synced;
static const volatile int64_t *off_by, *faults;

enum { FAIL_WRITES = 1, FAIL_SYNCS = 2 };

static const volatile int64_t *mapped(const char *variable) {
    const char *path = getenv(variable);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return NULL;
    }
    void *seen = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    return seen == MAP_FAILED ? NULL : seen;
}

__attribute__((constructor)) static void start(void) {
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    files = getenv("CHAOS_FILES");
    synced = getenv("CHAOS_SYNCED");
    off_by = mapped("CHAOS_CLOCK");
    faults = mapped("CHAOS_FAULTS");
}

/* A record that cannot be kept would make the test lie: better no process at all. */
static void give_up(const char *what) {
    fprintf(stderr, "chaos layer: %s: %s\n", what, strerror(errno));
    abort();
}

static void name_of(int fd, char *name, size_t size) {
    struct statx about;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &about) != 0 || !(about.stx_mask & STATX_BTIME)) {
        give_up("no time of birth");
    }
    snprintf(name, size, "%llu-%lld.%09u", (unsigned long long)about.stx_ino, (long long)about.stx_btime.tv_sec,
             about.stx_btime.tv_nsec);
}

static void keep_entries(const char *path, int out) {
    DIR *directory = opendir(path);
    if (directory == NULL) {
        give_up(path);
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[64];
        int fd = entry->d_type == DT_REG ? openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC) : -1;
        if (fd >= 0) {
            name_of(fd, name, sizeof name);
            close(fd);
            dprintf(out, "%s %s\n", name, entry->d_name);
        }
    }
    closedir(directory);
}

static void keep_contents(int fd, int out, off_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int in = open(path, O_RDONLY | O_CLOEXEC);
    while (in >= 0 && size > 0) {
        ssize_t copied = sendfile(out, in, NULL, (size_t)size);
        if (copied <= 0) {
            break;
        }
        size -= copied;
    }
    if (in < 0 || size > 0) {
        give_up("a synced file cannot be read");
    }
    close(in);
}

/* Of what is about to be kept in OUT, the blocks that are still as they were when their sync failed become what was kept before. */
static void forget_lost(int out, const char *record) {
    char path[4200], was[4096], now[4096], before[4096];
    snprintf(path, sizeof path, "%s.lost", record);
    int lost = open(path, O_RDONLY | O_CLOEXEC), kept = open(record, O_RDONLY | O_CLOEXEC);
    ssize_t length;
    for (off_t place = 0; lost >= 0 && (length = pread(lost, was, sizeof was, place)) > 0; place += length) {
        if (pread(out, now, (size_t)length, place) == length && memcmp(was, now, (size_t)length) == 0) {
            memset(before, 0, sizeof before);
            if (kept >= 0 && pread(kept, before, (size_t)length, place) < 0) {
                give_up(record);
            }
            if (real_pwrite(out, before, (size_t)length, place) != length) {
                give_up(record);
            }
        }
    }
    if (lost >= 0) {
        close(lost);
    }
    if (kept >= 0) {
        close(kept);
    }
}

/* Whether a file is one of those that this is about, and its path. */
static int is_ours(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = files && synced ? readlink(link, path, size - 1) : -1;
    return length >= 0 && (path[length] = 0, strncmp(path, files, strlen(files)) == 0);
}

/* Copies what a file holds now to where it is kept as FORM of its name says. */
static void keep_as(int fd, const char *form, const char *path) {
    char name[64], record[4096], making[4096];
    struct stat about;
    if (fstat(fd, &about) != 0) {
        give_up("fstat");
    }
    name_of(fd, name, sizeof name);
    snprintf(record, sizeof record, form, synced, name);
    snprintf(making, sizeof making, "%s/.%s.%ld", synced, name, syscall(SYS_gettid));
    int out = open(making, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) {
        give_up(making);
    }
    if (S_ISDIR(about.st_mode)) {
        keep_entries(path, out);
    } else {
        keep_contents(fd, out, about.st_size);
        forget_lost(out, record);
    }
    if (close(out) != 0 || rename(making, record) != 0) {
        give_up(record);
    }
}

static void keep(int fd) {
    char path[4096];
    if (is_ours(fd, path, sizeof path)) {
        keep_as(fd, "%s/%s", path);
    }
}

/* What a log holds whose sync fails is lost until it is written again. */
static void lose(int fd) {
    char path[4096];
    size_t length;
    if (is_ours(fd, path, sizeof path) && (length = strlen(path)) > 4 && strcmp(path + length - 4, "-wal") == 0) {
        keep_as(fd, "%s/%s.lost", path);
    }
}

static int fails(int64_t fault, int fd) {
    char path[4096];
    if (!faults || !(*faults & fault) || !is_ours(fd, path, sizeof path)) {
        return 0;
    }
    errno = EIO;
    return 1;
}

static int sync_with(int (*real)(int), int fd) {
    if (fails(FAIL_SYNCS, fd)) {
        lose(fd);
        errno = EIO;
        return -1;
    }
    int result = real(fd), error = errno;
    if (result == 0) {
        keep(fd);
    }
    errno = error;
    return result;
}

int fsync(int fd) {
    return sync_with(real_fsync, fd);
}

int fdatasync(int fd) {
    return sync_with(real_fdatasync, fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    return fails(FAIL_WRITES, fd) ? -1 : real_write(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return fails(FAIL_WRITES, fd) ? -1 : real_pwrite(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    return pwrite(fd, bytes, count, offset);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = real_clock_gettime(clock, now);
    if (result == 0 && off_by && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += *off_by;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out) {
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

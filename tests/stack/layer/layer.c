/*
 * What the power and the clock are to a process, for tests. Loaded with LD_PRELOAD.
 *
 * CHAOS_FILES=DIRECTORY and CHAOS_SYNCED=DIRECTORY: after every fsync or fdatasync of a file below the first, the second holds
 * the file as it was then; after every fsync of a directory, its entries. That is all that a power cut would leave for certain:
 * whoever plays the power cut kills the process and puts back what lies there. Files are known by inode and time of birth, since
 * inode numbers are used again. Each record appears whole or not at all.
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
static const char *files, *synced;
static const volatile int64_t *off_by;

__attribute__((constructor)) static void start(void) {
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    files = getenv("CHAOS_FILES");
    synced = getenv("CHAOS_SYNCED");
    const char *clock = getenv("CHAOS_CLOCK");
    int fd = clock ? open(clock, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *seen = mmap(NULL, sizeof *off_by, PROT_READ, MAP_SHARED, fd, 0);
        off_by = seen == MAP_FAILED ? NULL : seen;
        close(fd);
    }
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

static void keep(int fd) {
    char link[64], path[4096], name[64], record[4096], making[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = files && synced ? readlink(link, path, sizeof path - 1) : -1;
    if (length < 0 || (path[length] = 0, strncmp(path, files, strlen(files)) != 0)) {
        return;
    }
    struct stat about;
    if (fstat(fd, &about) != 0) {
        give_up("fstat");
    }
    name_of(fd, name, sizeof name);
    snprintf(record, sizeof record, "%s/%s", synced, name);
    snprintf(making, sizeof making, "%s/.%s.%ld", synced, name, syscall(SYS_gettid));
    int out = open(making, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) {
        give_up(making);
    }
    if (S_ISDIR(about.st_mode)) {
        keep_entries(path, out);
    } else {
        keep_contents(fd, out, about.st_size);
    }
    if (close(out) != 0 || rename(making, record) != 0) {
        give_up(record);
    }
}

int fsync(int fd) {
    int result = real_fsync(fd), error = errno;
    if (result == 0) {
        keep(fd);
    }
    errno = error;
    return result;
}

int fdatasync(int fd) {
    int result = real_fdatasync(fd), error = errno;
    if (result == 0) {
        keep(fd);
    }
    errno = error;
    return result;
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

/* Preloaded into a program by a test: a file system that turns read-only under it. The kernel
 * refuses a remount while files are open for writing and does it by itself only after a failure of
 * the device, so the calls that would then fail are made to fail here, with EROFS.
 *
 * NETSCOPE_TEST_DISK: a mount point; its files alone are meant. NETSCOPE_TEST_DISK_STATE: a file of
 * one byte; while it is '1' the disk is read-only. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static dev_t disk;
static const volatile char *state;

__attribute__((constructor)) static void install(void)
{
    const char *mount_point = getenv("NETSCOPE_TEST_DISK");
    const char *path = getenv("NETSCOPE_TEST_DISK_STATE");
    const int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (mount_point == NULL || fd < 0 || stat(mount_point, &status) != 0) {
        abort();
    }
    disk = status.st_dev;
    void *mapped = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);

    if (mapped == MAP_FAILED) {
        abort();
    }
    state = mapped;
    (void)close(fd);
}

static int refuses_file(int fd)
{
    struct stat status;

    if (state == NULL || *state != '1' || fstat(fd, &status) != 0 || status.st_dev != disk) {
        return 0;
    }
    errno = EROFS;
    return 1;
}

/* The file, or where it is not there yet, its directory. */
static int refuses_name(int directory, const char *name)
{
    struct stat status;
    char above[4096];
    const char *slash = strrchr(name, '/');

    if (state == NULL || *state != '1') {
        return 0;
    }
    if (fstatat(directory, name, &status, 0) != 0) {
        const size_t length = slash == NULL ? 0 : (size_t)(slash - name);

        if (length >= sizeof(above)) {
            return 0;
        }
        memcpy(above, slash == NULL ? "." : name, slash == NULL ? 1 : length);
        above[slash == NULL ? 1 : length] = '\0';
        if (fstatat(directory, above, &status, 0) != 0) {
            return 0;
        }
    }
    if (status.st_dev != disk || S_ISCHR(status.st_mode)) {
        return 0;
    }
    errno = EROFS;
    return 1;
}

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

#define ON_FILE(type, name, parameters, arguments)                                                 \
    type name parameters                                                                           \
    {                                                                                              \
        return refuses_file(fd) ? -1 : NEXT(name) arguments;                                       \
    }

ON_FILE(ssize_t, write, (int fd, const void *bytes, size_t length), (fd, bytes, length))
ON_FILE(ssize_t, pwrite, (int fd, const void *bytes, size_t length, off_t at),
        (fd, bytes, length, at))
ON_FILE(ssize_t, pwrite64, (int fd, const void *bytes, size_t length, off64_t at),
        (fd, bytes, length, at))
ON_FILE(ssize_t, writev, (int fd, const struct iovec *pieces, int count), (fd, pieces, count))
ON_FILE(ssize_t, pwritev, (int fd, const struct iovec *pieces, int count, off_t at),
        (fd, pieces, count, at))
ON_FILE(ssize_t, pwritev64, (int fd, const struct iovec *pieces, int count, off64_t at),
        (fd, pieces, count, at))
ON_FILE(int, ftruncate, (int fd, off_t length), (fd, length))
ON_FILE(int, ftruncate64, (int fd, off64_t length), (fd, length))
ON_FILE(int, fsync, (int fd), (fd))
ON_FILE(int, fdatasync, (int fd), (fd))

#define ON_NAME(type, name, parameters, directory, path, arguments)                                \
    type name parameters                                                                           \
    {                                                                                              \
        return refuses_name(directory, path) ? -1 : NEXT(name) arguments;                          \
    }

ON_NAME(int, rename, (const char *from, const char *to), AT_FDCWD, from, (from, to))
ON_NAME(int, unlink, (const char *path), AT_FDCWD, path, (path))
ON_NAME(int, unlinkat, (int at, const char *path, int flags), at, path, (at, path, flags))
ON_NAME(int, mkdir, (const char *path, mode_t mode), AT_FDCWD, path, (path, mode))

static int opens_to_write(int flags)
{
    return (flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_ACCMODE) != O_RDONLY;
}

#define MODE_OF(flags, mode)                                                                       \
    mode_t mode = 0;                                                                               \
    if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                                                  \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode = va_arg(list, mode_t);                                                               \
        va_end(list);                                                                              \
    }

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        MODE_OF(flags, mode)                                                                       \
        return opens_to_write(flags) && refuses_name(AT_FDCWD, path)                               \
                   ? -1                                                                            \
                   : NEXT(name)(path, flags, mode);                                                \
    }

#define OPEN_AT(name)                                                                              \
    int name(int at, const char *path, int flags, ...)                                             \
    {                                                                                              \
        MODE_OF(flags, mode)                                                                       \
        return opens_to_write(flags) && refuses_name(at, path)                                     \
                   ? -1                                                                            \
                   : NEXT(name)(at, path, flags, mode);                                            \
    }

OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

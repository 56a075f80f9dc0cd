#include "base/key_file.h"

#include <errno.h>

bool key_file_is_private(const struct stat *status)
{
    const mode_t refused = status->st_uid == 0 ? S_IRWXO | S_IWGRP | S_IXGRP : S_IRWXO | S_IRWXG;

    return !S_ISREG(status->st_mode) || (status->st_mode & refused) == 0;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool key_file_is_unchanged(const struct stat *seen, const struct stat *now)
{
    /* The time of the inode's change too: the mode of a refused key may be all that is mended. */
    return is_same_time(&seen->st_mtim, &now->st_mtim) &&
           is_same_time(&seen->st_ctim, &now->st_ctim) && seen->st_size == now->st_size &&
           seen->st_ino == now->st_ino && seen->st_dev == now->st_dev;
}

int key_file_check(const char *path, struct error *err)
{
    struct stat status;

    if (stat(path, &status) != 0 || key_file_is_private(&status)) {
        return 0;
    }
    return error_set(err, EACCES,
                     "the private key %s can be read or changed by others than its owner (mode "
                     "%04o): run chmod 600 %s",
                     path, (unsigned)(status.st_mode & 07777), path);
}

#include "base/key_file.h"

#include <errno.h>

bool key_file_is_private(const struct stat *status)
{
    const mode_t refused = status->st_uid == 0 ? S_IRWXO | S_IWGRP | S_IXGRP : S_IRWXO | S_IRWXG;

    return !S_ISREG(status->st_mode) || (status->st_mode & refused) == 0;
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

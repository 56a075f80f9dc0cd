/* The file of settings, written by the program itself: whole or not at all, and only while it is
 * what was read.
 *
 * A new text goes to PATH.new beside it, to the disk, and then takes its name: whoever reads the
 * file, and whoever starts after a crash in between, finds the text before or the one after. Mode,
 * owner and group stay. Depends on: base. Threads: main. */
#pragma once

#include <stddef.h>
#include <sys/stat.h>

#include "base/attributes.h"
#include "base/error.h"

struct settings_file {
    const char *path; /* NULL: there is none */
    struct stat seen; /* as it was read or written last; st_ino 0: not known */
};

/* It has been read just now. */
void settings_file_note(struct settings_file *file);
/* Whether it could be written now, so that the start can tell. 0 or -errno. */
MUST_USE int settings_file_check(const struct settings_file *file, struct error *err);
/* 0 or -errno, and nothing has changed: ENOENT: there is no file of settings; ESTALE: somebody
 * changed it since. */
MUST_USE int settings_file_write(struct settings_file *file, const char *text, size_t length,
                                 struct error *err);

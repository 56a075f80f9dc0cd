/* `netscope-collector user` and `netscope-collector token`: who may log in, kept in
 * web.auth.users_file. A collector that runs takes what has changed within a second.
 *
 * Depends on: collector-ui/access, libcrypto. Threads: main. */
#pragma once

#include <stdio.h>

#include "base/attributes.h"
#include "base/error.h"

/* argv[0] is "user" or "token"; `environment` may name the file, as settings do. The exit status:
 * 0, 1 or 2 (usage) with `err`; 0 after --help. */
MUST_USE int user_command_run(int argc, char **argv, char **environment, FILE *out,
                              struct error *err);

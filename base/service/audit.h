/* Who asked the program to do what, and what came of it: one line a control call, JSON.
 *
 * {"time":"...","who":"token ops","peer":"ipv4:10.0.0.7:41234","what":"ConfigService/ReloadConfig",
 * "result":"ok","detail":"applied=log.level"}. To a file of its own (appended, mode 0600, opened
 * anew by audit_reopen for rotation) or, without one, to the log. Depends on: base. Any thread. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"

/* `path` "" or NULL: to the log. 0 or -errno: the file cannot be had. */
MUST_USE int audit_open(const char *path, struct error *err);
/* Opens the same path again; where that fails the file before stays in use. */
void audit_reopen(void);
void audit_close(void);

/* `peer` and `detail` may be NULL. */
void audit_line(const char *who, const char *peer, const char *what, const char *result,
                const char *detail);

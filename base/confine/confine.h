/* What the process may still do: given up at the start, for good.
 *
 * Two steps. confine_privileges while there is one thread: user, capabilities, no_new_privs;
 * threads made later inherit them. confine_system_calls once all is open and the threads run: a
 * seccomp filter for every thread of the process. Neither can be undone. Depends on: base,
 * base/config, libcap, libseccomp. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"

/* The section `security` of both programs. */
struct confine_settings {
    const char *user;
    struct config_list keep_capabilities;
    const char *seccomp;
    const char *audit_file; /* of base/service/audit.h; empty: the log */
};

extern const struct config_field confine_fields[];

struct confine_privileges {
    const char *user; /* name or number to become; "" or NULL: stay. Needs root. */
    /* Capabilities to keep where the process has them, by name without "cap_" ("net_raw"), NULL
     * entries skipped; all others are dropped, also from the bounding set where that is allowed. */
    const char *const *keep;
    uint32_t keep_count;
    const struct config_list *keep_too; /* may be NULL */
};

/* Groups and user are changed first, capabilities dropped after, no_new_privs set at the end.
 * -errno with `err`: EINVAL for a user or capability that does not exist, EPERM when the user may
 * not be changed. A process that has no capabilities anyhow succeeds. Call it while there is one
 * thread (capabilities(7): they are a thread's). */
MUST_USE int confine_privileges(const struct confine_privileges *settings, struct error *err);

enum confine_mode {
    CONFINE_OFF,
    CONFINE_LOG,    /* allow, and let the kernel log what would be refused (audit) */
    CONFINE_REFUSE, /* EPERM for what is not on the list; the forbidden ones end the process */
    CONFINE_KILL,   /* all that is not on the list ends the process (SIGSYS) */
};

/* "off", "log", "refuse", "kill"; CONFINE_OFF for any other text. */
enum confine_mode confine_mode_of(const char *text);

/* Whether this build can work behind a filter: the runtimes of sanitizers cannot (they trace the
 * process at its end). */
bool confine_can_filter(void);

/* Allows what a network service with threads, files and sockets needs. Programs cannot be run, code
 * of other processes not be touched, nothing mounted or loaded: these end the process in modes
 * REFUSE and KILL. Applies to all threads (seccomp(2), SECCOMP_FILTER_FLAG_TSYNC). -errno with
 * `err` when the kernel has no seccomp or refuses the filter; nothing is changed then. */
MUST_USE int confine_system_calls(enum confine_mode mode, struct error *err);

/* What is in force, for logs and `doctor`. */
struct confine_state {
    uint32_t user;
    uint64_t capabilities; /* effective, a bit each */
    bool has_no_new_privileges;
    bool has_filter;
};

void confine_state_read(struct confine_state *out);
/* "net_raw,dac_override" of a bit set, "none" when empty. Returns `out`. */
const char *confine_capabilities_text(uint64_t capabilities, char *out, uint32_t out_bytes);

/* The end of a program's start: applies `seccomp` of the settings and logs what is in force. A
 * kernel or a build that knows no such filter is told and lived with. */
void confine_finish(const struct confine_settings *settings);

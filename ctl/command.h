/* What the commands of netscopectl share: settings of the connection, flags, exit statuses.
 *
 * Depends on: base, base/config. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"
#include "ctl/output.h"

/* docs/netscopectl.md lists them. */
enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1,    /* the answer is an error or is not whole */
    CTL_USAGE = 2,     /* wrong flags, or a filter that is none */
    CTL_UNREACHED = 3, /* nobody answers, or not by TLS as asked */
    CTL_REFUSED = 4,   /* no token, or one without the right */
    CTL_INTERRUPTED = 130,
};

/* From file, environment and flags, by the tables of base/config. */
struct ctl_settings {
    const char *server; /* "": the addresses of this machine are tried */
    const char *ca;     /* "system": the system's roots */
    const char *certificate, *key, *server_name, *token_file;
    const char *color;
    uint64_t timeout_ns;
    bool tls, plaintext;
};

enum ctl_form { FORM_COMPACT, FORM_TABLE, FORM_WIDE, FORM_JSON, FORM_JSONL, FORM_COUNT };

/* Of the commands; NULL and 0: not given. */
struct ctl_options {
    enum ctl_form form;
    const char *filter, *since, *until, *input_file, *sensor;
    const char *kind, *severity, *state, *subject; /* of alerts and sensors */
    const char *by, *interface, *write;
    uint64_t first, last, max_packets, max_bytes, snaplen, duration_ns, interval_ns;
    bool all, follow, print_filter, history;
};

struct ctl {
    struct ctl_settings settings;
    struct ctl_options options;
    struct output out;
};

struct ctl_command {
    const char *name;
    unsigned bit; /* in the table of flags */
    const char *summary;
    const char *examples; /* whole lines */
    /* The status to exit with; what went wrong, if anything did, is in `err` and not yet told. */
    enum ctl_exit (*run)(struct ctl *ctl, struct error *err);
};

enum ctl_command_bit {
    FOR_OBSERVE = 1 << 0,
    FOR_STATUS = 1 << 1,
    FOR_ALERTS = 1 << 2,
    FOR_TOP = 1 << 3,
    FOR_SENSORS = 1 << 4,
    FOR_STATS = 1 << 5,
    FOR_LEDGER = 1 << 6,
    FOR_CAPTURE = 1 << 7,
    FOR_DOCTOR = 1 << 8,
    FOR_ALL = (1 << 16) - 1,
};

extern const struct ctl_command observe_command;
extern const struct ctl_command alerts_command;
extern const struct ctl_command top_command;
extern const struct ctl_command sensors_command;
extern const struct ctl_command stats_command;
extern const struct ctl_command ledger_command;
extern const struct ctl_command capture_command;
extern const struct ctl_command status_command;
extern const struct ctl_command doctor_command;

/* The table of flags. `settings` is filled by `config`, which is made before. */
MUST_USE struct config *ctl_settings_new(struct ctl_settings *settings, struct error *err);
/* Settings of file and environment, then those of the command line, whose first word is the
 * command. CTL_OK, or CTL_USAGE with `err`. `wants_help`: --help was given. */
MUST_USE enum ctl_exit ctl_read(struct ctl *ctl, struct config *config,
                                const struct ctl_command *command, int argc, char **argv,
                                bool *wants_help, struct error *err);
void ctl_print_help(const struct ctl_command *command, FILE *out);
/* The tables of docs/cli.md. */
void ctl_print_markdown(const struct ctl_command *const *commands, FILE *out);

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
    CTL_FAILED = 1,      /* the answer is an error or is not whole */
    CTL_USAGE = 2,       /* wrong flags, or a filter that is none */
    CTL_UNREACHED = 3,   /* nobody answers, or not by TLS as asked */
    CTL_REFUSED = 4,     /* no token, or one without the right */
    CTL_NOT_APPLIED = 5, /* settings were refused, or their roll-out has stopped */
    CTL_ROLLED_BACK = 6, /* a sensor went back to those before */
    CTL_PENDING = 7,     /* not all have answered */
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

enum ctl_form {
    FORM_COMPACT, /* or what the command does where nothing is asked for */
    FORM_TABLE,
    FORM_WIDE,
    FORM_JSON,
    FORM_JSONL,
    FORM_CSV,
    FORM_DOT,
    FORM_COUNT
};

/* Of the commands; NULL and 0: not given. */
struct ctl_options {
    enum ctl_form form;
    char **operands; /* the arguments that are no flags */
    unsigned operands_count;
    const char *filter, *since, *until, *input_file, *sensor, *labels;
    const char *kind, *severity, *state, *subject; /* of alerts and sensors */
    const char *by, *order, *search, *peer_of, *columns;
    const char *interface, *write, *flow, *alert;
    const char *attacker, *victim, *reason, *comment, *acknowledged, *silenced;  /* of triage */
    const char *if_hash, *canary_sensor, *canary_labels, *hold, *answer_timeout; /* of settings */
    uint64_t first, last, max_packets, max_bytes, snaplen, duration_ns, interval_ns, step_ns;
    uint64_t max_nodes, max_edges, canary, confirm_ns, sensor_max_packets, sensor_max_bytes;
    bool dry_run, wait, undo;
    bool all, follow, print_filter, history, each_sensor, ascending;
};

struct ctl_command;

struct ctl {
    struct ctl_settings settings;
    struct ctl_options options;
    struct output out;
    const struct ctl_command *const *commands; /* all, up to NULL */
};

struct ctl_command {
    const char *name;    /* one word, or a group's and its own: "config push" */
    uint64_t bit;        /* in the table of flags */
    const char *operand; /* what its arguments without a flag are called; NULL: it takes none */
    unsigned operands_min, operands_max;
    const char *summary;
    const char *examples; /* whole lines */
    /* The status to exit with; what went wrong, if anything did, is in `err` and not yet told. */
    enum ctl_exit (*run)(struct ctl *ctl, struct error *err);
};

#define CTL_BIT(number)       (UINT64_C(1) << (number))
#define FOR_OBSERVE           CTL_BIT(0)
#define FOR_STATUS            CTL_BIT(1)
#define FOR_ALERTS            CTL_BIT(2)
#define FOR_TOP               CTL_BIT(3)
#define FOR_SENSORS           CTL_BIT(4)
#define FOR_STATS             CTL_BIT(5)
#define FOR_LEDGER            CTL_BIT(6)
#define FOR_CAPTURE           CTL_BIT(7)
#define FOR_DOCTOR            CTL_BIT(8)
#define FOR_FLOWS             CTL_BIT(9)
#define FOR_QUERY             CTL_BIT(10)
#define FOR_HOSTS             CTL_BIT(11)
#define FOR_SERVICES          CTL_BIT(12)
#define FOR_MAP               CTL_BIT(13)
#define FOR_CONFIG_SHOW       CTL_BIT(14)
#define FOR_CONFIG_CHECK      CTL_BIT(15)
#define FOR_CONFIG_APPLY      CTL_BIT(16)
#define FOR_CONFIG_CONFIRM    CTL_BIT(17)
#define FOR_CONFIG_RELOAD     CTL_BIT(18)
#define FOR_CONFIG_PUSH       CTL_BIT(19)
#define FOR_CONFIG_STATUS     CTL_BIT(20)
#define FOR_CONFIG_LIST       CTL_BIT(21)
#define FOR_CONFIG_CLEAR      CTL_BIT(22)
#define FOR_CAPTURES          CTL_BIT(23)
#define FOR_CAPTURES_SHOW     CTL_BIT(24)
#define FOR_CAPTURES_START    CTL_BIT(25)
#define FOR_CAPTURES_FOLLOW   CTL_BIT(26)
#define FOR_CAPTURES_DOWNLOAD CTL_BIT(27)
#define FOR_CAPTURES_STOP     CTL_BIT(28)
#define FOR_CAPTURES_DELETE   CTL_BIT(29)
#define FOR_ALERTS_ACK        CTL_BIT(30)
#define FOR_SILENCES          CTL_BIT(31)
#define FOR_SILENCES_ADD      CTL_BIT(32)
#define FOR_SILENCES_REMOVE   CTL_BIT(33)
#define FOR_FIELDS            CTL_BIT(34)
#define FOR_COMPLETION        CTL_BIT(35)
#define FOR_SENSORS_LABEL     CTL_BIT(36)
#define FOR_SENSORS_REVOKE    CTL_BIT(37)
#define FOR_ALL               UINT64_MAX

extern const struct ctl_command observe_command;
extern const struct ctl_command flows_command;
extern const struct ctl_command query_command;
extern const struct ctl_command hosts_command;
extern const struct ctl_command services_command;
extern const struct ctl_command map_command;
extern const struct ctl_command alerts_command;
extern const struct ctl_command top_command;
extern const struct ctl_command sensors_command;
extern const struct ctl_command sensors_label_command;
extern const struct ctl_command sensors_revoke_command;
extern const struct ctl_command stats_command;
extern const struct ctl_command ledger_command;
extern const struct ctl_command capture_command;
extern const struct ctl_command config_show_command;
extern const struct ctl_command config_check_command;
extern const struct ctl_command config_apply_command;
extern const struct ctl_command config_confirm_command;
extern const struct ctl_command config_reload_command;
extern const struct ctl_command config_push_command;
extern const struct ctl_command config_status_command;
extern const struct ctl_command config_list_command;
extern const struct ctl_command config_clear_command;
extern const struct ctl_command captures_command;
extern const struct ctl_command captures_show_command;
extern const struct ctl_command captures_start_command;
extern const struct ctl_command captures_follow_command;
extern const struct ctl_command captures_download_command;
extern const struct ctl_command captures_stop_command;
extern const struct ctl_command captures_delete_command;
extern const struct ctl_command alerts_ack_command;
extern const struct ctl_command silences_command;
extern const struct ctl_command silences_add_command;
extern const struct ctl_command silences_remove_command;
extern const struct ctl_command fields_command;
extern const struct ctl_command completion_command;
extern const struct ctl_command status_command;
extern const struct ctl_command doctor_command;

/* The table of flags. `settings` is filled by `config`, which is made before. */
MUST_USE struct config *ctl_settings_new(struct ctl_settings *settings, struct error *err);
/* Settings of file and environment, then those of the command line, whose first word is the
 * command. CTL_OK, or CTL_USAGE with `err`. `wants_help`: --help was given. */
MUST_USE enum ctl_exit ctl_read(struct ctl *ctl, struct config *config,
                                const struct ctl_command *command, int argc, char **argv,
                                bool *wants_help, struct error *err);
/* ---- printed (help.c); `commands` is ended by NULL ---- */

void ctl_print_usage(const struct ctl_command *const *commands, FILE *out);
/* A line each; of one group, or all (NULL). */
void ctl_print_summaries(const struct ctl_command *const *commands, const char *group, FILE *out);
/* Whether a command is called `name`, or belongs to the group of that name. */
bool ctl_is_in_group(const struct ctl_command *command, const char *name);
/* Of one command; where it stands for a group, with the others of it. */
void ctl_print_help(const struct ctl_command *const *commands, const struct ctl_command *command,
                    FILE *out);
/* The tables of docs/cli.md. */
void ctl_print_markdown(const struct ctl_command *const *commands, FILE *out);
/* The page for man(1). */
void ctl_print_man(const struct ctl_command *const *commands, FILE *out);

/* The one table of all flags, and what those do that set no setting. For the commands of ctl alone.
 * Depends on: base/config. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/command.h"
#include "ctl/command.h"

#define FLAGS_OF_ONE_MAX 48

/* Those of the command, in order; how many. */
uint32_t flags_of(const struct ctl_command *command, struct command_flag out[FLAGS_OF_ONE_MAX]);
/* What the argument of a flag that flags_of has given may be: "live|stale|offline", or one of the
 * words "@file", "@filter", "@kind" (of alerts); NULL: anything. */
const char *flags_values(const struct command_flag *flag);
/* An argument that the help calls KEYS or STATES takes several, with commas between them. */
bool flags_is_plural(const char *argument);
/* Whether all commands have it, or all that ask a server. */
bool flags_is_common(const struct command_flag *flag);

struct flags_reading {
    struct ctl_options *options;
    const struct ctl_command *command;
    const char *config_path;
    bool wants_help;
};

/* For command_line_note. */
MUST_USE int flags_note(void *reading, int action, const char *argument, struct error *err);

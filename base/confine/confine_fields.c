#include <stddef.h>

#include "base/confine/confine.h"

#define FIELD(member) offsetof(struct confine_settings, member)

const struct config_field confine_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "user",
     .offset = FIELD(user),
     .value = "",
     .max = 64,
     .help = "User to become at the start (name or number; needs root); empty: stay. Files, keys "
             "and directories must be open to that user."},
    {.type = CONFIG_LIST,
     .key = "keep_capabilities",
     .offset = FIELD(keep_capabilities),
     .value = "",
     .max = 16,
     .help = "Capabilities to keep beside those that the task needs (docs/operations.md), such as "
             "net_bind_service."},
    {.type = CONFIG_CHOICE,
     .key = "seccomp",
     .offset = FIELD(seccomp),
     .value = "refuse",
     .choices = "off|log|refuse|kill",
     .help = "System calls that are not on the list of a network service: allowed, allowed and "
             "logged by the kernel, refused, or the end of the process."},
    {.type = CONFIG_TEXT,
     .key = "audit_file",
     .offset = FIELD(audit_file),
     .value = "",
     .max = 4096,
     .help = "File for a line about each control call and reload: who, what, when, result "
             "(JSON; opened anew on SIGHUP); empty: the log."},
    {0},
};

/* netscope-sensor fields: every field of the records with type, unit and the names that IPFIX, ECS
 * and OpenTelemetry have for it. Depends on: base, proto/json. Threads: main, in place of a run. */
#pragma once

#include <stdio.h>

#include "base/error.h"

enum fields_format { FIELDS_TEXT, FIELDS_JSON, FIELDS_MARKDOWN };

/* -errno with `err`: a write failed, or there is no memory. */
int fields_print(FILE *out, enum fields_format format, struct error *err);
/* The sub-command's own arguments: "--format text|json|markdown", "--help". Returns the exit
 * status. */
int fields_main(int argc, char **argv);

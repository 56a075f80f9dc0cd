/* What the argument of a flag may be, looked at before anybody is asked. Each gives 0, or -EINVAL
 * with a sentence in `err` that names `flag` ("--state").
 *
 * Depends on: base, proto. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

/* One of the words of `values` ("live|stale|offline"; "labels.*" is any word that begins so), in
 * any case and with '-' for '_'; with `is_list` several, with commas between them. */
MUST_USE int argument_check_words(const char *flag, const char *text, const char *values,
                                  bool is_list, struct error *err);
/* The same of what a server groups by, which is sent as it is: of names in small letters, as the
 * server writes them. */
MUST_USE int argument_check_groups(const char *flag, const char *text, const char *values,
                                   bool is_list, struct error *err);
/* Kinds of alerts, with commas between them. */
MUST_USE int argument_check_kinds(const char *flag, const char *text, struct error *err);
/* An age, "now" or a time. */
MUST_USE int argument_check_time(const char *flag, const char *text, struct error *err);
/* An IP address. */
MUST_USE int argument_check_address(const char *flag, const char *text, struct error *err);
/* Addresses and prefixes, with commas between them. */
MUST_USE int argument_check_networks(const char *flag, const char *text, struct error *err);
/* Names of sensors, with commas between them. */
MUST_USE int argument_check_names(const char *flag, const char *text, struct error *err);
/* A selector of labels. */
MUST_USE int argument_check_labels(const char *flag, const char *text, struct error *err);
/* A file that is there or can be made: its directory can be written. "-" is standard output. */
MUST_USE int argument_check_new_file(const char *flag, const char *text, struct error *err);

/* A flow record as a line: for people (compact, table, wide), as JSON or CSV.
 *
 * Depends on: base, proto, proto/json. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/command.h"
#include "ctl/json_list.h"
#include "ctl/output.h"
#include "ctl/show.h"

/* Enough for a line of a flow whose texts are within their limits, every byte escaped. */
#define FLOW_LINE_BYTES 16384

/* The names of the columns; nothing for the other forms. */
void flow_view_header(enum ctl_form form, struct show *show);
void flow_view_line(enum ctl_form form, const struct flow_record *flow, struct show *show);

/* Records one by one, in the form that was chosen. */
struct flow_writer {
    struct output *out;
    enum ctl_form form;
    uint64_t count; /* written */
    struct json_list json;
};

/* --columns: goes with FORM_CSV, and names fields. 0 or -EINVAL with `err`. */
MUST_USE int flow_writer_check(const struct ctl_options *options, struct error *err);
/* In the form of the options, which have been checked. 0 or -ENOMEM. flow_writer_end after 0. */
MUST_USE int flow_writer_begin(struct flow_writer *writer, struct output *out,
                               const struct ctl_options *options, struct error *err);
/* `record` as it came, `flow` what was read from it. False: it cannot be written as JSON. */
MUST_USE bool flow_writer_put(struct flow_writer *writer, const struct flow_record *flow,
                              const struct view *record);
/* The same with its JSON at hand, as a file has it. */
MUST_USE bool flow_writer_put_json(struct flow_writer *writer, const struct flow_record *flow,
                                   const struct view *record, const char *json, size_t length);
/* Closes the list of FORM_JSON. */
void flow_writer_end(struct flow_writer *writer);

/* Records for programs: as JSON, one a line or one list, and as CSV.
 *
 * Depends on: base, proto/json, ctl/csv, ctl/message, ctl/output. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/command.h"
#include "ctl/message.h"
#include "ctl/output.h"

struct json_list {
    struct output *out;
    bool is_lines;
    uint64_t count;
    char *room;      /* for one record */
    struct csv *csv; /* of FORM_CSV; NULL: JSON */
};

/* FORM_JSON or FORM_JSONL; the list of FORM_JSON is open then. 0 or -ENOMEM. */
MUST_USE int json_list_begin(struct json_list *list, struct output *out, enum ctl_form form,
                             struct error *err);
/* Also FORM_CSV, with the `columns` of `message` (csv_columns), whose names are written. 0 or
 * -errno. */
MUST_USE int json_list_begin_with(struct json_list *list, struct output *out, enum ctl_form form,
                                  const char *message, const char *columns, struct error *err);
/* False: the record cannot be read. */
MUST_USE bool json_list_put(struct json_list *list, const struct view *record);
/* JSON that is there. */
void json_list_put_text(struct json_list *list, const char *json, size_t length);
void json_list_end(struct json_list *list);
/* Begin, each of a list of `answer`, end. False with `err`. */
MUST_USE bool json_list_put_all(struct output *out, enum ctl_form form, const struct view *answer,
                                const char *field, struct error *err);
/* The same with json_list_begin_with. */
MUST_USE bool json_list_put_all_with(struct output *out, enum ctl_form form,
                                     const struct view *answer, const char *field,
                                     const char *message, const char *columns, struct error *err);
/* One message as a line. False with `err`. */
MUST_USE bool json_object_put(struct output *out, const struct view *message, struct error *err);

static inline bool form_is_json(enum ctl_form form)
{
    return form == FORM_JSON || form == FORM_JSONL;
}

/* For programs: what json_list_begin_with writes. */
static inline bool form_is_data(enum ctl_form form)
{
    return form_is_json(form) || form == FORM_CSV;
}

/* Records as JSON: one a line, or one list.
 *
 * Depends on: base, proto/json, ctl/message, ctl/output. Threads: main. */
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
    char *room; /* for one record */
};

/* FORM_JSON or FORM_JSONL; the list of FORM_JSON is open then. 0 or -ENOMEM. */
MUST_USE int json_list_begin(struct json_list *list, struct output *out, enum ctl_form form,
                             struct error *err);
/* False: the record cannot be read. */
MUST_USE bool json_list_put(struct json_list *list, const struct view *record);
/* JSON that is there. */
void json_list_put_text(struct json_list *list, const char *json, size_t length);
void json_list_end(struct json_list *list);
/* Begin, each of a list of `answer`, end. False with `err`. */
MUST_USE bool json_list_put_all(struct output *out, enum ctl_form form, const struct view *answer,
                                const char *field, struct error *err);
/* One message as a line. False with `err`. */
MUST_USE bool json_object_put(struct output *out, const struct view *message, struct error *err);

static inline bool form_is_json(enum ctl_form form)
{
    return form == FORM_JSON || form == FORM_JSONL;
}

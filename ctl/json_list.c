#include "ctl/json_list.h"

#include <errno.h>
#include <stdlib.h>

#define JSON_BYTES ((size_t)4 << 20)

int json_list_begin(struct json_list *list, struct output *out, enum ctl_form form,
                    struct error *err)
{
    *list =
        (struct json_list){.out = out, .is_lines = form == FORM_JSONL, .room = malloc(JSON_BYTES)};
    return list->room != NULL ? 0 : error_set(err, ENOMEM, "no memory for records");
}

void json_list_put_text(struct json_list *list, const char *json, size_t length)
{
    if (!list->is_lines) {
        output_write(list->out, list->count == 0 ? "[\n" : ",\n", 2);
    }
    output_write(list->out, json, length);
    if (list->is_lines) {
        output_write(list->out, "\n", 1);
    }
    list->count++;
}

bool json_list_put(struct json_list *list, const struct view *record)
{
    struct json_writer w;

    json_init(&w, list->room, JSON_BYTES);
    if (!json_from_wire(record->message, record->bytes, record->length, &w) || w.overflow) {
        return false;
    }
    json_list_put_text(list, list->room, w.length);
    return true;
}

void json_list_end(struct json_list *list)
{
    if (!list->is_lines && list->room != NULL) {
        output_write(list->out, list->count == 0 ? "[" : "\n", 1);
        output_write(list->out, "]\n", 2);
    }
    free(list->room);
    list->room = NULL;
}

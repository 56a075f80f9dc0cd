#include "ctl/json_list.h"

#include <errno.h>
#include <stdlib.h>

#include "ctl/csv.h"

#define JSON_BYTES   ((size_t)4 << 20)
#define OBJECT_BYTES ((size_t)16 << 20) /* of a whole answer */

int json_list_begin(struct json_list *list, struct output *out, enum ctl_form form,
                    struct error *err)
{
    *list =
        (struct json_list){.out = out, .is_lines = form == FORM_JSONL, .room = malloc(JSON_BYTES)};
    return list->room != NULL ? 0 : error_set(err, ENOMEM, "no memory for records");
}

int json_list_begin_with(struct json_list *list, struct output *out, enum ctl_form form,
                         const char *message, const char *columns, struct error *err)
{
    if (form != FORM_CSV) {
        return json_list_begin(list, out, form, err);
    }
    *list = (struct json_list){.out = out, .is_lines = true, .csv = malloc(sizeof(*list->csv))};
    if (list->csv == NULL) {
        return error_set(err, ENOMEM, "no memory for records");
    }
    csv_begin(list->csv, out);
    const int result = csv_columns(list->csv, message, columns, err);

    if (result == 0) {
        csv_header(list->csv);
    } else {
        json_list_end(list);
    }
    return result;
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

    if (list->csv != NULL) {
        csv_fields(list->csv, record);
        csv_end_line(list->csv);
        list->count++;
        return true;
    }
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
    free(list->csv);
    list->room = NULL;
    list->csv = NULL;
}

static bool refuse_damaged(struct error *err)
{
    (void)error_set(err, EPROTO, "the answer cannot be read: is the server of another version?");
    return false;
}

bool json_list_put_all(struct output *out, enum ctl_form form, const struct view *answer,
                       const char *field, struct error *err)
{
    return json_list_put_all_with(out, form, answer, field, NULL, NULL, err);
}

bool json_list_put_all_with(struct output *out, enum ctl_form form, const struct view *answer,
                            const char *field, const char *message, const char *columns,
                            struct error *err)
{
    struct view_list list = view_list_of(answer, field);
    struct json_list json;
    struct view each;
    bool is_whole = true;

    if (json_list_begin_with(&json, out, form, message, columns, err) != 0) {
        return false;
    }
    while (is_whole && view_list_next(&list, &each)) {
        is_whole = json_list_put(&json, &each);
    }
    json_list_end(&json);
    return is_whole || refuse_damaged(err);
}

bool json_object_put(struct output *out, const struct view *message, struct error *err)
{
    char *room = malloc(OBJECT_BYTES);
    struct json_writer w;

    if (room == NULL) {
        (void)error_set(err, ENOMEM, "no memory for the answer");
        return false;
    }
    json_init(&w, room, OBJECT_BYTES);
    const bool is_whole =
        json_from_wire(message->message, message->bytes, message->length, &w) && !w.overflow;

    if (is_whole) {
        output_write(out, room, w.length);
        output_write(out, "\n", 1);
    }
    free(room);
    return is_whole || refuse_damaged(err);
}

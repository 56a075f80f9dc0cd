#include "ctl/message.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/wire_format.h"
#include "proto/json/descriptor_index.h"

#define PACKAGE "netscope.v1."

static const struct json_message *message_of(const char *name)
{
    char full[128];

    (void)snprintf(full, sizeof(full), PACKAGE "%s", name);
    const struct json_message *message = json_message_find(full);

    assert(message != NULL);
    return message;
}

/* ---- requests ---- */

void request_begin(struct request *request, const char *name, struct error *err)
{
    *request = (struct request){.message = message_of(name), .err = err};
    error_clear(err);
}

void request_set(struct request *request, const char *path, const char *value)
{
    if (value != NULL && request->err->code == 0) {
        (void)!json_set_parameter(request->message, path, value, request->bytes, REQUEST_BYTES,
                                  &request->length, request->err);
    }
}

void request_set_number(struct request *request, const char *path, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    request_set(request, path, value == 0 ? NULL : text);
}

void request_set_time(struct request *request, const char *path, uint64_t wall_ns)
{
    char text[CLOCK_TEXT_BYTES];

    (void)clock_text(wall_ns, 9, text);
    request_set(request, path, wall_ns == 0 ? NULL : text);
}

void request_set_duration(struct request *request, const char *path, uint64_t ns)
{
    char text[48];

    (void)snprintf(text, sizeof(text), "%llu.%09llus", (unsigned long long)(ns / NS_PER_SEC),
                   (unsigned long long)(ns % NS_PER_SEC));
    request_set(request, path, ns == 0 ? NULL : text);
}

void request_set_true(struct request *request, const char *path, bool value)
{
    request_set(request, path, value ? "true" : NULL);
}

/* Calls `put` for each of a list parted by commas. */
static void each_value(struct request *request, const char *values,
                       void (*put)(struct request *request, const void *context, const char *value),
                       const void *context)
{
    for (const char *at = values; at != NULL && *at != '\0';) {
        char value[256];
        const size_t length = strcspn(at, ",");

        if (length >= sizeof(value)) {
            (void)error_set(request->err, EINVAL, "%.40s...: longer than %zu bytes", at,
                            sizeof(value) - 1);
            return;
        }
        (void)snprintf(value, sizeof(value), "%.*s", (int)length, at);
        if (length > 0 && request->err->code == 0) {
            put(request, context, value);
        }
        at += length + (at[length] == ',');
    }
}

static void put_text(struct request *request, const void *path, const char *value)
{
    request_set(request, path, value);
}

void request_set_each(struct request *request, const char *path, const char *values)
{
    each_value(request, values, put_text, path);
}

struct choice {
    const char *path, *prefix, *flag;
};

/* "SYN_FLOOD" as people write it. */
static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'A' && *text <= 'Z') {
            *text = "abcdefghijklmnopqrstuvwxyz"[*text - 'A'];
        }
    }
}

/* Which ones there are: the list is short enough to be the answer. */
static void refuse_choice(struct request *request, const struct choice *choice, const char *value)
{
    const char *package_end = strrchr(request->message->full_name, '.');
    const char *names[CHOICES_MAX];
    const unsigned count =
        message_choices(package_end + 1, choice->path, choice->prefix, names, CHOICES_MAX);
    char list[512] = "";
    size_t at = 0;

    for (unsigned i = 0; i < count && at < sizeof(list); i++) {
        at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    lower(list);
    (void)error_set(request->err, EINVAL, "%s %s: there is no such one; there are %s", choice->flag,
                    value, list);
}

static void put_choice(struct request *request, const void *context, const char *value)
{
    const struct choice *choice = context;
    char name[320];
    const size_t begin =
        (size_t)snprintf(name, sizeof(name), "%s%s", choice->prefix, value) - strlen(value);

    for (char *at = name + begin; *at != '\0'; at++) {
        if (*at >= 'a' && *at <= 'z') {
            *at = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[*at - 'a'];
        } else if (*at == '-') {
            *at = '_';
        }
    }
    request_set(request, choice->path, name);
    if (request->err->code != 0) {
        refuse_choice(request, choice, value);
    }
}

void request_set_choices(struct request *request, const char *path, const char *prefix,
                         const char *flag, const char *values)
{
    const struct choice choice = {path, prefix, flag};

    each_value(request, values, put_choice, &choice);
}

bool request_is_whole(const struct request *request)
{
    return request->err->code == 0;
}

/* ---- choices ---- */

unsigned message_choices(const char *name, const char *field_name, const char *prefix,
                         const char **names, unsigned names_max)
{
    const struct json_field *field =
        message_field_named(message_of(name), field_name, strlen(field_name));
    unsigned count = 0;

    assert(field != NULL && field->enumeration != NULL);
    for (uint32_t i = 0; i < field->enumeration->values_count && count < names_max; i++) {
        const struct json_enum_value *value = &field->enumeration->values[i];

        if (value->number != 0 && strncmp(value->name, prefix, strlen(prefix)) == 0) {
            names[count++] = value->name + strlen(prefix);
        }
    }
    return count;
}

/* ---- answers ---- */

struct view view_of(const char *name, const uint8_t *bytes, size_t length)
{
    return (struct view){message_of(name), bytes, length};
}

static const struct json_field *field_of(const struct view *view, const char *name)
{
    const struct json_field *field =
        view->message == NULL ? NULL : message_field_named(view->message, name, strlen(name));

    assert(view->message == NULL || field != NULL);
    return field;
}

bool view_field(const struct view *view, const struct json_field *field, struct wire_field *out)
{
    struct wire_reader r = wire_reader_over(view->bytes, view->length);
    struct wire_field each;
    bool is_there = false;

    while (field != NULL && wire_next(&r, &each)) {
        if (each.number == field->number) {
            *out = each;
            is_there = true;
        }
    }
    return is_there;
}

uint64_t view_number(const struct view *view, const char *field)
{
    struct wire_field found = {0};

    return view_field(view, field_of(view, field), &found) ? found.value : 0;
}

double view_double(const struct view *view, const char *field)
{
    return wire_double(view_number(view, field));
}

bool view_bool(const struct view *view, const char *field)
{
    return view_number(view, field) != 0;
}

struct record_text view_text(const struct view *view, const char *field)
{
    struct wire_field found = {0};

    return view_field(view, field_of(view, field), &found)
               ? (struct record_text){(const char *)found.bytes, (uint32_t)found.length}
               : (struct record_text){"", 0};
}

struct view view_message(const struct view *view, const char *name)
{
    const struct json_field *field = field_of(view, name);
    struct wire_field found = {0};

    return view_field(view, field, &found)
               ? (struct view){field->message, found.bytes, found.length}
               : (struct view){0};
}

bool view_has(const struct view *view, const char *field)
{
    struct wire_field found = {0};

    return view_field(view, field_of(view, field), &found);
}

uint64_t view_ns(const struct view *view, const char *field)
{
    const struct view time = view_message(view, field);
    const uint64_t seconds = view_number(&time, "seconds");

    return seconds > INT64_C(9223372036) ? 0 : seconds * NS_PER_SEC + view_number(&time, "nanos");
}

uint64_t view_packed_sum(const struct view *view, const char *name)
{
    const struct json_field *field = field_of(view, name);
    struct wire_reader r = wire_reader_over(view->bytes, view->length);
    struct wire_field each;
    uint64_t sum = 0;

    while (field != NULL && wire_next(&r, &each)) {
        struct wire_reader packed = wire_reader_over(each.bytes, each.length);

        if (each.number != field->number) {
            continue;
        }
        sum += each.value;
        while (each.type == WIRE_BYTES && !wire_at_end(&packed)) {
            sum += wire_read_varint(&packed);
        }
    }
    return sum;
}

/* "LIVE", or "?". */
static const char *choice_name(const struct json_field *field, uint64_t number, const char *prefix)
{
    const struct json_enum_value *value =
        field == NULL ? NULL : enum_value_numbered(field->enumeration, (int32_t)number);

    if (value == NULL) {
        return "?";
    }
    return strncmp(value->name, prefix, strlen(prefix)) == 0 ? value->name + strlen(prefix)
                                                             : value->name;
}

const char *view_choice(const struct view *view, const char *name, const char *prefix)
{
    return choice_name(field_of(view, name), view_number(view, name), prefix);
}

unsigned view_choices(const struct view *view, const char *name, const char *prefix,
                      const char **names, unsigned names_max)
{
    const struct json_field *field = field_of(view, name);
    struct wire_reader r = wire_reader_over(view->bytes, view->length);
    struct wire_field each;
    unsigned count = 0;

    while (field != NULL && wire_next(&r, &each)) {
        struct wire_reader packed = wire_reader_over(each.bytes, each.length);

        if (each.number != field->number) {
            continue;
        }
        if (each.type != WIRE_BYTES && count < names_max) {
            names[count++] = choice_name(field, each.value, prefix);
        }
        while (each.type == WIRE_BYTES && !wire_at_end(&packed) && count < names_max) {
            names[count++] = choice_name(field, wire_read_varint(&packed), prefix);
        }
    }
    return count;
}

struct view_list view_list_of(const struct view *view, const char *name)
{
    const struct json_field *field = field_of(view, name);

    return (struct view_list){.of = *view,
                              .number = field == NULL ? 0 : field->number,
                              .message = field == NULL ? NULL : field->message};
}

static bool list_next(struct view_list *list, struct wire_field *out)
{
    if (list->of.length == 0) { /* and then bytes may be NULL */
        return false;
    }
    struct wire_reader r = wire_reader_over(list->of.bytes + list->at, list->of.length - list->at);
    const size_t whole = wire_left(&r);

    while (wire_next(&r, out)) {
        if (out->number == list->number) {
            list->at += whole - wire_left(&r);
            return true;
        }
    }
    list->at = list->of.length;
    return false;
}

bool view_list_next(struct view_list *list, struct view *each)
{
    struct wire_field found = {0};

    if (!list_next(list, &found)) {
        return false;
    }
    *each = (struct view){list->message, found.bytes, found.length};
    return true;
}

bool view_list_any(const struct view *view, const char *field)
{
    return view_has(view, field);
}

bool view_list_text(struct view_list *list, struct record_text *text)
{
    struct wire_field found = {0};

    if (!list_next(list, &found)) {
        return false;
    }
    *text = (struct record_text){(const char *)found.bytes, (uint32_t)found.length};
    return true;
}

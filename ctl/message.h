/* Requests that are filled and answers that are read by the names of their fields, from the
 * embedded descriptors: a name that a message does not have is a mistake of ours.
 *
 * Depends on: base, proto/json. Threads: one message, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/json/transcoder.h"
#include "proto/record.h"

#define REQUEST_BYTES 16384

struct request {
    const struct json_message *message;
    struct error *err; /* the first thing that could not be set */
    size_t length;
    uint8_t bytes[REQUEST_BYTES];
};

/* `name`: "ObserveFlowsRequest". */
void request_begin(struct request *request, const char *name, struct error *err);
/* Appends to a repeated field; nothing for NULL. `path`: "filter", "sensor_selector.sensor_ids". */
void request_set(struct request *request, const char *path, const char *value);
void request_set_number(struct request *request, const char *path, uint64_t value); /* 0: nothing */
void request_set_time(struct request *request, const char *path, uint64_t wall_ns); /* likewise */
void request_set_duration(struct request *request, const char *path, uint64_t ns);  /* likewise */
void request_set_true(struct request *request, const char *path, bool value);
/* Each of a list parted by commas. */
void request_set_each(struct request *request, const char *path, const char *values);
/* Each of a list of names, as "syn_flood" for ALERT_KIND_SYN_FLOOD; `flag` is for what is wrong. */
void request_set_choices(struct request *request, const char *path, const char *prefix,
                         const char *flag, const char *values);
/* False with the request's error set. */
MUST_USE bool request_is_whole(const struct request *request);

/* A message as it came; borrowed. Zeroed: one without fields. */
struct view {
    const struct json_message *message;
    const uint8_t *bytes;
    size_t length;
};

#define CHOICES_MAX 64
/* All names that an enum field of message `name` may have but "unspecified", without `prefix`; how
 * many of them are in `names`. */
unsigned message_choices(const char *name, const char *field, const char *prefix,
                         const char **names, unsigned names_max);

struct json_field;
struct wire_field;

struct view view_of(const char *name, const uint8_t *bytes, size_t length);
/* The last one of a field; 0, "", false and an empty view when it is not there. */
uint64_t view_number(const struct view *view, const char *field);
double view_double(const struct view *view, const char *field);
bool view_bool(const struct view *view, const char *field);
struct record_text view_text(const struct view *view, const char *field);
struct view view_message(const struct view *view, const char *field);
bool view_has(const struct view *view, const char *field);
/* The last occurrence of a field of the message. False: there is none, or `field` is NULL. */
MUST_USE bool view_field(const struct view *view, const struct json_field *field,
                         struct wire_field *out);
/* A Timestamp or Duration as ns; 0 when it is not there or below 0. */
uint64_t view_ns(const struct view *view, const char *field);
/* Of a repeated number: all of them added. */
uint64_t view_packed_sum(const struct view *view, const char *field);
/* "LIVE" for SENSOR_STATE_LIVE, with `prefix` "SENSOR_STATE_"; "?" for a number without a name. */
const char *view_choice(const struct view *view, const char *field, const char *prefix);

/* Of a repeated one; how many of them are in `names`. */
unsigned view_choices(const struct view *view, const char *field, const char *prefix,
                      const char **names, unsigned names_max);

/* `struct view_list list = view_list_of(&answer, "sensors"); while (view_list_next(&list, &each))`
 */
struct view_list {
    struct view of;
    uint32_t number;
    const struct json_message *message; /* NULL: texts or numbers */
    size_t at;
};
struct view_list view_list_of(const struct view *view, const char *field);
MUST_USE bool view_list_next(struct view_list *list, struct view *each);
bool view_list_any(const struct view *view, const char *field); /* is there one? */
MUST_USE bool view_list_text(struct view_list *list, struct record_text *text);

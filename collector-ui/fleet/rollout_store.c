/* The roll-out as bytes: protobuf's wire format, so that a later version may add to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"
#include "collector-ui/fleet/rollout_private.h"

enum { FILE_WISH = 1, FILE_SENSOR };
enum {
    WISH_ID = 1,
    WISH_HASH,
    WISH_YAML,
    WISH_PATTERN,
    WISH_CANARY,
    WISH_HOLD_NS,
    WISH_SET_NS,
    WISH_SET_BY,
    WISH_STAGE,
    WISH_REASON,
    WISH_TIMEOUT_NS,
    WISH_LABELS,
    WISH_HAS_FIRST,
    WISH_FIRST_PATTERN,
    WISH_FIRST_LABELS
};
enum {
    SENSOR_ID = 1,
    SENSOR_WISH,
    SENSOR_IS_CANARY,
    SENSOR_STATE,
    SENSOR_STATE_NS,
    SENSOR_TOLD,
    SENSOR_HASH,
    SENSOR_OFFERED,
    SENSOR_VAIN,
    SENSOR_AWAITED_NS,
    SENSOR_IS_OVERDUE,
    SENSOR_LABELS,
    SENSOR_SET_LABELS
};

#define SENSOR_BYTES_MAX 4096
#define WISH_BYTES_MAX   2048 /* all but its text and choices */

/* ---- writing ---- */

static void write_choice(struct wire_writer *w, const struct rollout_choice *choice,
                         uint32_t pattern, uint32_t labels)
{
    for (uint32_t i = 0; i < choice->patterns_count; i++) {
        wire_write_text(w, pattern, choice->patterns[i]);
    }
    wire_write_text_if_any(w, labels, choice->labels == NULL ? "" : choice->labels);
}

static size_t choice_bytes(const struct rollout_choice *choice)
{
    size_t bytes = 8 + (choice->labels == NULL ? 0 : strlen(choice->labels));

    for (uint32_t i = 0; i < choice->patterns_count; i++) {
        bytes += strlen(choice->patterns[i]) + 8;
    }
    return bytes;
}

static const char *text_of(const char *text)
{
    return text == NULL ? "" : text;
}

static void write_wish(struct wire_writer *w, const struct rollout_wish *wish)
{
    const struct wire_mark mark = wire_begin(w, FILE_WISH, 2);

    wire_write_text(w, WISH_ID, wish->id);
    wire_write_text(w, WISH_HASH, wish->hash);
    wire_write_text(w, WISH_YAML, wish->yaml);
    write_choice(w, &wish->who, WISH_PATTERN, WISH_LABELS);
    wire_write_bool(w, WISH_HAS_FIRST, wish->has_first);
    write_choice(w, &wish->first, WISH_FIRST_PATTERN, WISH_FIRST_LABELS);
    wire_write_varint(w, WISH_CANARY, wish->canary);
    wire_write_varint(w, WISH_HOLD_NS, wish->hold_ns);
    wire_write_varint(w, WISH_SET_NS, wish->set_ns);
    wire_write_text(w, WISH_SET_BY, wish->set_by);
    /* What is being written down counts as soon as it is. */
    wire_write_varint(w, WISH_STAGE,
                      wish->stage != ROLLOUT_NONE ? wish->stage : rollout_first_stage(wish));
    wire_write_text(w, WISH_REASON, wish->stop_reason);
    wire_write_varint(w, WISH_TIMEOUT_NS, wish->timeout_ns);
    wire_end(w, mark);
}

static void write_sensor(struct wire_writer *w, const struct rollout_sensor *sensor)
{
    uint8_t told[SENSOR_BYTES_MAX];
    const struct wire_mark mark = wire_begin(w, FILE_SENSOR, 2);

    wire_write_text(w, SENSOR_ID, sensor->sensor_id);
    wire_write_text(w, SENSOR_WISH, sensor->wish_id);
    wire_write_bool(w, SENSOR_IS_CANARY, sensor->is_canary);
    wire_write_varint(w, SENSOR_STATE, sensor->state);
    wire_write_varint(w, SENSOR_STATE_NS, sensor->state_ns);
    if (sensor->told != NULL) {
        wire_write_bytes(w, SENSOR_TOLD, told,
                         ingest_encode_config_status(sensor->told, told, sizeof(told)));
    }
    wire_write_text(w, SENSOR_HASH, sensor->effective_hash);
    wire_write_text(w, SENSOR_OFFERED, sensor->offered_boot);
    wire_write_varint(w, SENSOR_VAIN, sensor->vain);
    wire_write_varint(w, SENSOR_AWAITED_NS, sensor->awaited_ns);
    wire_write_bool(w, SENSOR_IS_OVERDUE, sensor->is_overdue);
    wire_write_text_if_any(w, SENSOR_LABELS, text_of(sensor->labels));
    wire_write_text_if_any(w, SENSOR_SET_LABELS, text_of(sensor->set_labels));
    wire_end(w, mark);
}

/* Of the others nothing is known that does not come again by itself. */
static bool is_kept(const struct rollout_sensor *sensor)
{
    return sensor->wish_id[0] != '\0' || sensor->labels != NULL || sensor->set_labels != NULL;
}

static size_t bytes_needed(const struct rollout *rollout)
{
    size_t bytes = 64;

    for (uint32_t i = 0; i < rollout->wishes_count; i++) {
        bytes += WISH_BYTES_MAX + strlen(rollout->wishes[i]->yaml) +
                 choice_bytes(&rollout->wishes[i]->who) + choice_bytes(&rollout->wishes[i]->first);
    }
    for (uint32_t i = 0; i < rollout->sensors_count; i++) {
        const struct rollout_sensor *sensor = rollout->sensors[i];

        if (is_kept(sensor)) {
            bytes += (sensor->told != NULL ? SENSOR_BYTES_MAX : 512) +
                     strlen(text_of(sensor->labels)) + strlen(text_of(sensor->set_labels));
        }
    }
    return bytes;
}

uint8_t *rollout_write(const struct rollout *rollout, const char *leaves_out, size_t *length)
{
    const size_t room = bytes_needed(rollout);
    uint8_t *bytes = malloc(room);

    if (bytes == NULL) {
        return NULL;
    }
    struct wire_writer w = wire_writer_over(bytes, room);

    for (uint32_t i = 0; i < rollout->wishes_count; i++) {
        if (leaves_out == NULL || strcmp(rollout->wishes[i]->id, leaves_out) != 0) {
            write_wish(&w, rollout->wishes[i]);
        }
    }
    for (uint32_t i = 0; i < rollout->sensors_count; i++) {
        if (is_kept(rollout->sensors[i])) {
            write_sensor(&w, rollout->sensors[i]);
        }
    }
    *length = wire_written(&w);
    if (!w.ok) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

/* ---- reading ---- */

static char *copy_text(const struct wire_field *f)
{
    return f->type == WIRE_BYTES && (f->length == 0 || memchr(f->bytes, '\0', f->length) == NULL)
               ? strndup(f->length > 0 ? (const char *)f->bytes : "", f->length)
               : NULL;
}

static bool add_pattern(struct rollout_choice *choice, const struct wire_field *f)
{
    char **larger =
        realloc((void *)choice->patterns, (choice->patterns_count + 1U) * sizeof(*larger));

    if (larger == NULL) {
        return false;
    }
    choice->patterns = larger;
    larger[choice->patterns_count] = copy_text(f);
    return larger[choice->patterns_count++] != NULL;
}

static bool take_selector(char **place, const struct wire_field *f)
{
    struct error err = {0};

    free(*place);
    *place = copy_text(f);
    return *place != NULL && sensor_selector_check(*place, &err) == 0;
}

/* What is no label, from a file that somebody wrote, is left out. */
static bool take_labels(char **place, const struct wire_field *f)
{
    char labels[SENSOR_LABELS_BYTES] = "";
    char *text = copy_text(f);
    const char *at = text;
    struct sensor_label label;
    bool ok = text != NULL;

    while (ok && *at != '\0') {
        ok = strchr(at, '=') != NULL && sensor_labels_next(&at, &label) &&
             sensor_labels_put(labels, &label);
    }
    free(text);
    free(*place);
    *place = ok ? strdup(labels) : NULL;
    return *place != NULL;
}

static bool read_wish_field(struct rollout_wish *wish, const struct wire_field *f)
{
    switch (f->number) {
    case WISH_ID:
        return wire_text_into(f, wish->id, sizeof(wish->id));
    case WISH_HASH:
        return wire_text_into(f, wish->hash, sizeof(wish->hash));
    case WISH_YAML:
        free(wish->yaml);
        wish->yaml = copy_text(f);
        return wish->yaml != NULL;
    case WISH_PATTERN:
        return add_pattern(&wish->who, f);
    case WISH_LABELS:
        return take_selector(&wish->who.labels, f);
    case WISH_HAS_FIRST:
        wish->has_first = f->value != 0;
        return true;
    case WISH_FIRST_PATTERN:
        return add_pattern(&wish->first, f);
    case WISH_FIRST_LABELS:
        return take_selector(&wish->first.labels, f);
    case WISH_CANARY:
        wish->canary = (uint32_t)f->value;
        return true;
    case WISH_HOLD_NS:
        wish->hold_ns = f->value;
        return true;
    case WISH_TIMEOUT_NS:
        wish->timeout_ns = f->value;
        return true;
    case WISH_SET_NS:
        wish->set_ns = f->value;
        return true;
    case WISH_SET_BY:
        return wire_text_into(f, wish->set_by, sizeof(wish->set_by));
    case WISH_STAGE:
        wish->stage = (enum rollout_stage)f->value;
        return f->value >= ROLLOUT_CANARY && f->value <= ROLLOUT_STOPPED;
    case WISH_REASON:
        return wire_text_into(f, wish->stop_reason, sizeof(wish->stop_reason));
    default:
        return true;
    }
}

/* They stand in the file as in the list: the newest first. */
static int read_wish(struct rollout *rollout, const struct wire_field *field)
{
    struct wire_reader r = wire_reader_over(field->bytes, field->length);
    struct rollout_wish *wish = calloc(1, sizeof(*wish));
    struct rollout_wish **larger =
        realloc((void *)rollout->wishes, (rollout->wishes_count + 1U) * sizeof(void *));
    struct wire_field f;

    rollout->wishes = larger != NULL ? larger : rollout->wishes;
    bool ok = wish != NULL && larger != NULL;
    while (ok && wire_next(&r, &f)) {
        ok = read_wish_field(wish, &f);
    }
    if (!ok || !r.ok || wish->id[0] == '\0' || wish->yaml == NULL) {
        rollout_wish_free(wish);
        return -EBADMSG;
    }
    larger[rollout->wishes_count++] = wish;
    return 0;
}

static bool read_told(struct rollout_sensor *sensor, const struct wire_field *f)
{
    struct ingest_request request;

    if (f->type != WIRE_BYTES || !ingest_decode_request(f->bytes, f->length, &request) ||
        request.kind != INGEST_CONFIG_STATUS) {
        return false;
    }
    free(sensor->told);
    sensor->told = malloc(sizeof(*sensor->told));
    if (sensor->told != NULL) {
        *sensor->told = request.config_status;
    }
    return sensor->told != NULL;
}

static bool read_sensor_field(struct rollout_sensor *sensor, const struct wire_field *f)
{
    switch (f->number) {
    case SENSOR_WISH:
        return wire_text_into(f, sensor->wish_id, sizeof(sensor->wish_id));
    case SENSOR_IS_CANARY:
        sensor->is_canary = f->value != 0;
        return true;
    case SENSOR_STATE:
        sensor->state = (enum ingest_config_state)f->value;
        return f->value < INGEST_CONFIG_STATE_COUNT;
    case SENSOR_STATE_NS:
        sensor->state_ns = f->value;
        return true;
    case SENSOR_TOLD:
        return read_told(sensor, f);
    case SENSOR_HASH:
        return wire_text_into(f, sensor->effective_hash, sizeof(sensor->effective_hash));
    case SENSOR_OFFERED:
        return wire_text_into(f, sensor->offered_boot, sizeof(sensor->offered_boot));
    case SENSOR_VAIN:
        sensor->vain = (uint32_t)f->value;
        return true;
    case SENSOR_AWAITED_NS:
        sensor->awaited_ns = f->value;
        return true;
    case SENSOR_LABELS:
        return take_labels(&sensor->labels, f);
    case SENSOR_SET_LABELS:
        return take_labels(&sensor->set_labels, f);
    case SENSOR_IS_OVERDUE:
        sensor->is_overdue = f->value != 0;
        return true;
    default:
        return true;
    }
}

static int read_sensor(struct rollout *rollout, const struct wire_field *field)
{
    struct wire_reader r = wire_reader_over(field->bytes, field->length);
    char id[INGEST_SENSOR_ID_BYTES];
    struct wire_field f;

    /* The id stands first. */
    if (!wire_next(&r, &f) || f.number != SENSOR_ID || !wire_text_into(&f, id, sizeof(id))) {
        return -EBADMSG;
    }
    struct rollout_sensor *sensor = rollout_sensor_of(rollout, id);
    bool ok = true;

    if (sensor == NULL) {
        return 0; /* ingest.sensors_max is lower than it was */
    }
    while (ok && wire_next(&r, &f)) {
        ok = read_sensor_field(sensor, &f);
    }
    return ok && r.ok ? 0 : -EBADMSG;
}

int rollout_read(struct rollout *rollout, const uint8_t *bytes, size_t length)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    int result = 0;

    while (result == 0 && wire_next(&r, &f)) {
        if (f.type == WIRE_BYTES && f.number == FILE_WISH) {
            result = read_wish(rollout, &f);
        } else if (f.type == WIRE_BYTES && f.number == FILE_SENSOR) {
            result = read_sensor(rollout, &f);
        }
    }
    return result == 0 && !r.ok ? -EBADMSG : result;
}

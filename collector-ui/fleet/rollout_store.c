/* The roll-out as bytes: protobuf's wire format, so that a later version may add to it. */
#include <errno.h>
#include <stdio.h>
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
    WISH_TIMEOUT_NS
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
    SENSOR_IS_OVERDUE
};

#define SENSOR_BYTES_MAX 4096
#define WISH_BYTES_MAX   2048 /* all but its text and patterns */

/* ---- writing ---- */

static void write_wish(struct wire_writer *w, const struct rollout_wish *wish)
{
    const struct wire_mark mark = wire_begin(w, FILE_WISH, 2);

    wire_write_text(w, WISH_ID, wish->id);
    wire_write_text(w, WISH_HASH, wish->hash);
    wire_write_text(w, WISH_YAML, wish->yaml);
    for (uint32_t i = 0; i < wish->patterns_count; i++) {
        wire_write_text(w, WISH_PATTERN, wish->patterns[i]);
    }
    wire_write_varint(w, WISH_CANARY, wish->canary);
    wire_write_varint(w, WISH_HOLD_NS, wish->hold_ns);
    wire_write_varint(w, WISH_SET_NS, wish->set_ns);
    wire_write_text(w, WISH_SET_BY, wish->set_by);
    /* What is being written down counts as soon as it is. */
    wire_write_varint(w, WISH_STAGE,
                      wish->stage != ROLLOUT_NONE ? wish->stage
                      : wish->canary > 0          ? ROLLOUT_CANARY
                                                  : ROLLOUT_ALL);
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
    wire_end(w, mark);
}

static size_t bytes_needed(const struct rollout *rollout)
{
    size_t bytes = 64;

    for (uint32_t i = 0; i < rollout->wishes_count; i++) {
        bytes += WISH_BYTES_MAX + strlen(rollout->wishes[i]->yaml);
        for (uint32_t p = 0; p < rollout->wishes[i]->patterns_count; p++) {
            bytes += strlen(rollout->wishes[i]->patterns[p]) + 8;
        }
    }
    for (uint32_t i = 0; i < rollout->sensors_count; i++) {
        const struct rollout_sensor *sensor = rollout->sensors[i];

        bytes += sensor->wish_id[0] == '\0' ? 0 : sensor->told != NULL ? SENSOR_BYTES_MAX : 512;
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
        if (rollout->sensors[i]->wish_id[0] != '\0') {
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

static bool add_pattern(struct rollout_wish *wish, const struct wire_field *f)
{
    char **larger = realloc((void *)wish->patterns, (wish->patterns_count + 1U) * sizeof(*larger));

    if (larger == NULL) {
        return false;
    }
    wish->patterns = larger;
    larger[wish->patterns_count] = copy_text(f);
    return larger[wish->patterns_count++] != NULL;
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
        return add_pattern(wish, f);
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

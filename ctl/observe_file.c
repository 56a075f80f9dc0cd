/* The records of a file that a sensor wrote (--flows-jsonl), chosen as a server would. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/flow_view.h"
#include "ctl/lines.h"
#include "ctl/message.h"
#include "ctl/observe.h"
#include "proto/codec.h"
#include "proto/json/transcoder.h"
#include "proto/sensor_pattern.h"

#define KEPT_MAX 100000 /* of --last: as many lines are held */

/* The last lines that passed, in a circle. */
struct kept {
    char **lines;
    size_t *lengths;
    uint64_t capacity, count; /* count: of all that passed */
};

struct reading {
    const struct filter *filter;
    const struct observe_choice *choice;
    const char *sensors;
    struct flow_writer writer;
    struct kept kept;
    struct flow_record *flow;
    uint8_t *bytes; /* of one record */
    size_t length;
    uint64_t unreadable, unreadable_line;
    struct error unreadable_reason;
};

static bool is_of_sensors(const char *patterns, struct record_text sensor)
{
    char pattern[256];

    if (patterns == NULL) {
        return true;
    }
    for (const char *at = patterns; *at != '\0';) {
        const size_t length = strcspn(at, ",");

        (void)snprintf(pattern, sizeof(pattern), "%.*s", (int)length, at);
        if (length > 0 && sensor_pattern_matches(pattern, sensor.data, sensor.length)) {
            return true;
        }
        at += length + (at[length] == ',');
    }
    return false;
}

/* False: the line is no flow record. */
static bool decode(struct reading *reading, const char *line, size_t length, struct error *err)
{
    if (length == SIZE_MAX) {
        (void)error_set(err, EMSGSIZE, "longer than %zu KiB", LINE_BYTES_MAX >> 10);
        return false;
    }
    reading->length = json_to_wire(json_message_find("netscope.v1.FlowRecord"), line, length,
                                   reading->bytes, LINE_BYTES_MAX, err);
    if (err->code == 0 && !codec_decode_flow(reading->bytes, reading->length, reading->flow)) {
        (void)error_set(err, EINVAL, "no flow record");
    }
    return err->code == 0;
}

static bool passes(const struct reading *reading)
{
    const struct observe_choice *choice = reading->choice;
    const uint64_t end_ns = reading->flow->end_ns;

    return end_ns >= choice->since_ns && (choice->until_ns == 0 || end_ns < choice->until_ns) &&
           is_of_sensors(reading->sensors, reading->flow->identity.sensor_id) &&
           filter_matches_flow(reading->filter, reading->flow);
}

/* What was decoded last. */
static void put(struct reading *reading, const char *line, size_t length)
{
    const struct view record = view_of("FlowRecord", reading->bytes, reading->length);

    (void)!flow_writer_put_json(&reading->writer, reading->flow, &record, line, length);
}

static int keep(struct kept *kept, const char *line, size_t length, struct error *err)
{
    char **place = &kept->lines[kept->count % kept->capacity];

    free(*place);
    *place = malloc(length + 1);
    if (*place == NULL) {
        return error_set(err, ENOMEM, "no memory for the last records: give a smaller --last");
    }
    memcpy(*place, line, length);
    kept->lengths[kept->count % kept->capacity] = length;
    kept->count++;
    return 0;
}

/* What was kept, oldest first. */
static void put_kept(struct reading *reading)
{
    struct kept *kept = &reading->kept;
    const uint64_t first = kept->count > kept->capacity ? kept->count - kept->capacity : 0;
    struct error ignored = {0};

    for (uint64_t i = first; i < kept->count && output_is_open(reading->writer.out); i++) {
        const char *line = kept->lines[i % kept->capacity];
        const size_t length = kept->lengths[i % kept->capacity];

        if (decode(reading, line, length, &ignored)) {
            put(reading, line, length);
        }
    }
}

static bool is_blank(const char *line, size_t length)
{
    return length != SIZE_MAX && strspn(line, " \t\r") >= length;
}

static int read_all(struct reading *reading, struct lines *lines, struct error *err)
{
    const uint64_t first = reading->choice->first;
    const char *line;
    size_t length;

    while (output_is_open(reading->writer.out) && (first == 0 || reading->writer.count < first) &&
           lines_next(lines, &line, &length)) {
        struct error reason = {0};

        if (length == 0 || is_blank(line, length)) {
            continue;
        }
        if (!decode(reading, line, length, &reason)) {
            if (reading->unreadable++ == 0) {
                reading->unreadable_line = lines->number;
                reading->unreadable_reason = reason;
            }
        } else if (passes(reading)) {
            if (reading->kept.capacity == 0) {
                put(reading, line, length);
            } else if (keep(&reading->kept, line, length, err) != 0) {
                return -err->code;
            }
        }
    }
    if (lines->failure.code != 0) {
        *err = lines->failure;
        return -err->code;
    }
    return 0;
}

static int prepare(struct reading *reading, struct error *err)
{
    const uint64_t last = reading->choice->last;

    if (last > KEPT_MAX) {
        return error_set(err, EINVAL, "--last %llu: at most %d with --input-file",
                         (unsigned long long)last, KEPT_MAX);
    }
    reading->kept.capacity = last;
    reading->kept.lines = calloc(last + 1, sizeof(char *));
    reading->kept.lengths = calloc(last + 1, sizeof(size_t));
    reading->bytes = malloc(LINE_BYTES_MAX);
    reading->flow = malloc(sizeof(*reading->flow));
    return reading->kept.lines == NULL || reading->kept.lengths == NULL || reading->bytes == NULL ||
                   reading->flow == NULL
               ? error_set(err, ENOMEM, "no memory for records")
               : 0;
}

static void finish(struct reading *reading)
{
    for (uint64_t i = 0; reading->kept.lines != NULL && i < reading->kept.capacity; i++) {
        free(reading->kept.lines[i]);
    }
    free(reading->kept.lines);
    free(reading->kept.lengths);
    free(reading->bytes);
    free(reading->flow);
}

static enum ctl_exit conclude(const struct reading *reading, const char *path)
{
    if (reading->unreadable > 0) {
        tell("%s: %llu lines are no flow records (the first: line %llu: %s)", path,
             (unsigned long long)reading->unreadable, (unsigned long long)reading->unreadable_line,
             reading->unreadable_reason.message);
        return CTL_FAILED;
    }
    if (stop_is_wanted()) {
        tell("%llu flow records of %s, stopped by a signal",
             (unsigned long long)reading->writer.count, path);
        return CTL_INTERRUPTED;
    }
    return CTL_OK;
}

enum ctl_exit observe_file(struct ctl *ctl, const struct filter *filter,
                           const struct observe_choice *choice, struct error *err)
{
    struct reading reading = {.filter = filter, .choice = choice, .sensors = ctl->options.sensor};
    const char *path = ctl->options.input_file;
    struct lines lines;
    enum ctl_exit status = CTL_FAILED;

    stop_begin();
    if (prepare(&reading, err) != 0) {
        status = err->code == EINVAL ? CTL_USAGE : CTL_FAILED;
    } else if (lines_open(&lines, path, err) == 0) {
        if (flow_writer_begin(&reading.writer, &ctl->out, &ctl->options, err) == 0) {
            const int result = read_all(&reading, &lines, err);

            put_kept(&reading);
            flow_writer_end(&reading.writer);
            output_flush(&ctl->out);
            status = conclude(&reading, path);
            status = result != 0 ? CTL_FAILED : status;
        }
        lines_close(&lines);
    }
    finish(&reading);
    return status;
}

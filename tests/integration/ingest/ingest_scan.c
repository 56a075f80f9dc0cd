#include "tests/integration/ingest/ingest_scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/spool/segment_log.h"
#include "collector-ui/ingest/ingest_private.h"

#define FRAME_MAX (64U << 20)
#define BOOTS_MAX 4096
/* As in sensor/export/collector_sink_private.h and base/spool/spool_log_private.h. */
#define SPOOL_HEAD_BYTES 32
#define ITEM_HEAD_BYTES  48
#define ITEM_SEQ_AT      40

/* One process of one sensor. */
struct boot_tally {
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    char boot_id[INGEST_BOOT_ID_BYTES];
    uint64_t records, duplicates, missing, gap_records;
    uint64_t next[RECORD_STREAM_COUNT];
};

static struct boot_tally boots[BOOTS_MAX];
static uint32_t boots_count;
static uint64_t undecodable;

static struct boot_tally *tally_of(const char *sensor_id, const char *boot_id)
{
    for (uint32_t i = boots_count; i > 0; i--) {
        if (strcmp(boots[i - 1].boot_id, boot_id) == 0 &&
            strcmp(boots[i - 1].sensor_id, sensor_id) == 0) {
            return &boots[i - 1];
        }
    }
    struct boot_tally *boot = &boots[boots_count < BOOTS_MAX - 1 ? boots_count++ : BOOTS_MAX - 1];

    (void)snprintf(boot->sensor_id, sizeof(boot->sensor_id), "%s", sensor_id);
    (void)snprintf(boot->boot_id, sizeof(boot->boot_id), "%s", boot_id);
    for (uint32_t i = 0; i < RECORD_STREAM_COUNT; i++) {
        boot->next[i] = 1;
    }
    return boot;
}

static void tally_frame(const struct segment_frame *from)
{
    static struct codec_slice slices[INGEST_BATCH_RECORDS_MAX];
    struct ingest_frame frame;
    struct codec_batch batch;
    struct ingest_gap gap;

    if (!ingest_frame_decode(from->bytes, from->length, &frame)) {
        undecodable++;
        return;
    }
    if (frame.gap != NULL && ingest_decode_gap(frame.gap, frame.length, &gap)) {
        struct boot_tally *boot = tally_of(frame.sensor_id, gap.boot_id);
        uint64_t *next = &boot->next[gap.stream];

        boot->gap_records += gap.to_seq + 1 - (gap.from_seq > *next ? gap.from_seq : *next);
        boot->missing += gap.from_seq > *next ? gap.from_seq - *next : 0;
        *next = gap.to_seq + 1;
    } else if (frame.batch != NULL && codec_decode_batch(frame.batch, frame.length, &batch, slices,
                                                         INGEST_BATCH_RECORDS_MAX)) {
        struct boot_tally *boot = tally_of(frame.sensor_id, batch.boot_id);
        uint64_t *next = &boot->next[batch.stream];
        const uint64_t end_seq = batch.first_seq + batch.record_count;

        boot->records += batch.record_count;
        boot->duplicates += batch.first_seq < *next ? *next - batch.first_seq : 0;
        boot->missing += batch.first_seq > *next ? batch.first_seq - *next : 0;
        *next = end_seq > *next ? end_seq : *next;
    } else {
        undecodable++;
    }
}

static void print_tally(const struct boot_tally *t)
{
    (void)printf(
        "records %llu missing %llu duplicates %llu gap_records %llu undecodable %llu flows "
        "%llu alerts %llu stats %llu",
        (unsigned long long)t->records, (unsigned long long)t->missing,
        (unsigned long long)t->duplicates, (unsigned long long)t->gap_records,
        (unsigned long long)undecodable, (unsigned long long)t->next[RECORD_FLOWS] - 1,
        (unsigned long long)t->next[RECORD_ALERTS] - 1,
        (unsigned long long)t->next[RECORD_STATS] - 1);
}

static void print_log(void)
{
    struct boot_tally sum = {.next = {1, 1, 1, 1, 1, 1}};

    for (uint32_t i = 0; i < boots_count; i++) {
        sum.records += boots[i].records;
        sum.missing += boots[i].missing;
        sum.duplicates += boots[i].duplicates;
        sum.gap_records += boots[i].gap_records;
        for (uint32_t s = RECORD_FLOWS; s < RECORD_STREAM_COUNT; s++) {
            sum.next[s] += boots[i].next[s] - 1;
        }
    }
    print_tally(&sum);
    (void)printf("\n");
    for (uint32_t i = 0; i < boots_count; i++) {
        (void)printf("sensor %s boot %s ", boots[i].sensor_id, boots[i].boot_id);
        print_tally(&boots[i]);
        (void)printf("\n");
    }
}

/* Calls `each` for all frames. */
static int read_frames(const char *directory, void (*each)(const struct segment_frame *frame),
                       struct error *err)
{
    AUTO(segment_reader) reader = segment_reader_new(directory, 0, FRAME_MAX, err);
    struct segment_frame frame;
    int result;

    if (reader == NULL) {
        return -err->code;
    }
    while ((result = segment_reader_next(reader, UINT64_MAX, &frame, err)) > 0) {
        each(&frame);
    }
    return result == -EBADMSG ? 0 : result; /* the torn end of who was killed */
}

int ingest_scan_log(const char *directory, struct error *err)
{
    const int result = read_frames(directory, tally_frame, err);

    print_log();
    return result;
}

static enum record_stream spool_stream;

static uint64_t load_u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value)); /* tests run where bytes are in this order */
    return value;
}

static void tally_item(const struct segment_frame *frame)
{
    const uint8_t *item = frame->bytes + SPOOL_HEAD_BYTES;

    if (frame->length < SPOOL_HEAD_BYTES + ITEM_HEAD_BYTES) {
        undecodable++;
        return;
    }
    const uint32_t records = (uint32_t)load_u64(frame->bytes + 24);
    struct boot_tally *boot = tally_of("-", (const char *)item);

    boot->records += records;
    boot->next[spool_stream] = load_u64(item + ITEM_SEQ_AT) + records;
}

int ingest_scan_spool(const char *directory, struct error *err)
{
    static const char *const names[RECORD_STREAM_COUNT] = {"",      "flows",   "alerts",
                                                           "stats", "packets", "dns"};
    char path[4200];

    for (uint32_t s = RECORD_FLOWS; s < RECORD_STREAM_COUNT; s++) {
        spool_stream = (enum record_stream)s;
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[s]);
        const int result = read_frames(path, tally_item, err);

        if (result < 0) {
            return result;
        }
    }
    print_log();
    return 0;
}

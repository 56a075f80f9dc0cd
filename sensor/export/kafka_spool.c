#include "sensor/export/kafka_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SEGMENT_BYTES   16777216 /* of one file; smaller with a small cap */
#define SEGMENTS_MIN    8        /* so that the cap drops an eighth of it at most */
#define PAUSE_FIRST_NS  (200 * NS_PER_MS)
#define PAUSE_MAX_NS    (5 * NS_PER_SEC)
#define LOG_INTERVAL_NS (10 * NS_PER_SEC)
#define HOUSE_NS        NS_PER_SEC
#define PATH_BYTES      4200

static_assert(RUN_MAX < TICKET_ALIGN, "a record's index fits beside the address of its ticket");

/* ---- start ---- */

static int open_log(struct kafka_stream *stream, const char *parent, struct error *err)
{
    struct kafka_sink *sink = stream->sink;
    const uint64_t share = sink->spool.bytes_max / SEGMENTS_MIN;
    const struct spool_log_limits limits = {
        sink->spool.memory_bytes, share < SEGMENT_BYTES ? share : SEGMENT_BYTES, ITEM_BYTES_MAX};
    char path[PATH_BYTES];
    struct spool_log_cursor_state state;

    (void)snprintf(path, sizeof(path), "%s/%s", parent, kafka_kind_name(stream->kind));
    stream->log = spool_log_open(path, &limits, err);
    if (stream->log == NULL) {
        error_prefix(err, "spool.directory");
        return -err->code;
    }
    stream->cursor =
        spool_log_cursor(stream->log, sink->name[5] == ':' ? sink->name + 6 : "kafka", err);
    if (stream->cursor < 0) {
        return stream->cursor;
    }
    spool_log_cursor_state(stream->log, stream->cursor, &state);
    counter_add(&sink->recovered, state.unacked_records);
    if (state.unacked_records > 0) {
        log_info(sink->name, "records of an earlier run are sent first",
                 "topic=%s records=%" PRIu64, kafka_kind_name(stream->kind), state.unacked_records);
    }
    return 0;
}

int kafka_spool_open(struct kafka_sink *sink, struct error *err)
{
    char parent[PATH_BYTES - 32];
    const char *name = sink->name[5] == ':' ? sink->name + 6 : "kafka";

    if (!sink->has_spool) {
        return 0;
    }
    (void)snprintf(parent, sizeof(parent), "%s/%s", sink->spool.directory, name);
    if ((mkdir(sink->spool.directory, 0750) != 0 && errno != EEXIST) ||
        (mkdir(parent, 0750) != 0 && errno != EEXIST)) {
        const int code = errno;

        return error_set(err, code, "spool.directory: make %s: %s", parent, strerror(code));
    }
    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        if (sink->streams[kind].is_on && kind != KAFKA_ASSETS) {
            const int result = open_log(&sink->streams[kind], parent, err);

            if (result != 0) {
                return result;
            }
        }
    }
    return 0;
}

/* ---- tickets ---- */

static struct kafka_ticket *take_ticket(struct kafka_sink *sink)
{
    struct kafka_ticket *ticket = sink->free_tickets;

    if (ticket != NULL) {
        sink->free_tickets = ticket->next;
    } else {
        ticket = aligned_alloc(TICKET_ALIGN,
                               (sizeof(*ticket) + TICKET_ALIGN - 1) / TICKET_ALIGN * TICKET_ALIGN);
    }
    if (ticket != NULL) {
        memset(ticket, 0, sizeof(*ticket));
    }
    return ticket;
}

static void return_first(struct kafka_stream *stream)
{
    struct kafka_ticket *ticket = stream->first;

    stream->first = ticket->next;
    stream->last = stream->first == NULL ? NULL : stream->last;
    stream->at = stream->at == ticket ? ticket->next : stream->at;
    ticket->next = stream->sink->free_tickets;
    stream->sink->free_tickets = ticket;
}

/* The items that are done, in order: the cursor moves over them. */
static void acknowledge(struct kafka_stream *stream)
{
    while (stream->first != NULL && stream->first->in_flight == 0 &&
           (stream->first->is_gone || stream->first->done_count == stream->first->count)) {
        spool_log_ack(stream->log, stream->cursor, &stream->first->place);
        stream->pause_ns = 0;
        return_first(stream);
    }
}

static void begin_again(struct kafka_stream *stream, rd_kafka_resp_err_t code)
{
    struct kafka_sink *sink = stream->sink;
    uint64_t suppressed = 0;

    if (!stream->is_failing && !atomic_load_explicit(&sink->is_stopping, memory_order_relaxed)) {
        stream->is_failing = true;
        stream->pause_ns = stream->pause_ns == 0                 ? PAUSE_FIRST_NS
                           : stream->pause_ns * 2 > PAUSE_MAX_NS ? PAUSE_MAX_NS
                                                                 : stream->pause_ns * 2;
        stream->resume_ns = clock_monotonic_ns() + stream->pause_ns;
        kafka_keep_error(sink, rd_kafka_err2str(code));
        if (log_allowed(&sink->topic_log, LOG_INTERVAL_NS, &suppressed)) {
            char quoted[256];

            log_warn(sink->name, "records wait in the spool",
                     "topic=%s error=%s reason=%s suppressed=%" PRIu64,
                     rd_kafka_topic_name(sink->client.topics[stream->kind]),
                     rd_kafka_err2name(code),
                     log_quote(rd_kafka_err2str(code), quoted, sizeof(quoted)), suppressed);
        }
    }
}

void kafka_spool_delivered(const rd_kafka_message_t *message, struct kafka_ticket *ticket,
                           uint32_t first)
{
    struct kafka_stream *stream = ticket->stream;
    struct kafka_sink *sink = stream->sink;
    const bool is_persisted =
        rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED;
    uint32_t records = 0;
    const bool is_done =
        message->err == RD_KAFKA_RESP_ERR_NO_ERROR || kafka_is_permanent(message->err);

    for (uint32_t i = first; i < RUN_MAX; i = ticket->following[i]) {
        records++;
        if (is_done) {
            bit_set(ticket->done, i);
        } else {
            bit_clear(ticket->sent, i);
        }
    }
    stream->in_flight -= records;
    ticket->in_flight -= records;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        counter_add(&sink->acked, records);
    } else if (is_done || ticket->is_gone) {
        kafka_count_failure(sink, message->err, records, is_persisted);
    } else {
        counter_add(&sink->resent, records);
        if (is_persisted) {
            counter_add(&sink->possibly_persisted, records);
        }
        begin_again(stream, message->err);
    }
    if (is_done) {
        ticket->done_count += records;
    }
    acknowledge(stream);
}

/* ---- sending ---- */

/* What a cap, an age or a disk that takes nothing has cost since the last time. */
static void count_lost(struct kafka_stream *stream, const char *why)
{
    struct kafka_sink *sink = stream->sink;
    struct spool_log_cursor_state state;
    uint64_t suppressed = 0;

    spool_log_cursor_state(stream->log, stream->cursor, &state);
    if (state.lost_records <= stream->lost_seen) {
        return;
    }
    counter_add(&sink->spool_lost, state.lost_records - stream->lost_seen);
    stream->lost_seen = state.lost_records;
    if (log_allowed(&sink->spool_log, LOG_INTERVAL_NS, &suppressed)) {
        log_warn(sink->name, "the spool dropped its oldest records",
                 "topic=%s reason=\"%s\" lost=%" PRIu64, kafka_kind_name(stream->kind), why,
                 counter_get(&sink->spool_lost));
    }
}

void kafka_spool_append(struct kafka_stream *stream, const struct kafka_run *run)
{
    struct kafka_sink *sink = stream->sink;
    struct error err = {0};
    uint32_t i = 0;

    while (i < run->count) {
        uint32_t used = 0;
        uint32_t records = 0;

        for (; i < run->count && used + 4 + run->at[i].length <= ITEM_BYTES_MAX; i++, records++) {
            memcpy(sink->item + used, &run->at[i].length, 4);
            memcpy(sink->item + used + 4, run->at[i].bytes, run->at[i].length);
            used += 4 + run->at[i].length;
        }
        if (records == 0) { /* larger than any item: no broker would take it */
            kafka_count_failure(sink, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 1, false);
            i++;
        } else if (spool_log_append(stream->log, sink->item, used, records, clock_wall_ns(),
                                    &err) != 0) {
            kafka_count_failure(sink, RD_KAFKA_RESP_ERR__FAIL, records, false);
        }
    }
    count_lost(stream, "disk");
}

/* The records of an item. False: it is damaged. */
static bool read_item(const struct spool_log_item *item, struct kafka_run *run)
{
    const uint8_t *at = item->bytes;
    const uint8_t *end = at + item->length;

    run->count = 0;
    while (at < end && run->count < RUN_MAX) {
        uint32_t length;

        if (end - at < 4) {
            return false;
        }
        memcpy(&length, at, 4);
        at += 4;
        if (length > (size_t)(end - at)) {
            return false;
        }
        run->at[run->count].bytes = at;
        run->at[run->count++].length = length;
        at += length;
    }
    return at == end && run->count == item->records && run->count > 0;
}

/* The ticket of what peek shows: that of the first sending, or a new one. NULL: no memory. */
static struct kafka_ticket *ticket_of(struct kafka_stream *stream,
                                      const struct spool_log_item *item)
{
    /* What was dropped from the spool while it was on its way failed for good. */
    while (stream->at != NULL && stream->at->place.ordinal < item->place.ordinal) {
        struct kafka_ticket *gone = stream->at;

        /* The cursor counts them all as lost; these have been counted, or will be by a report. */
        stream->lost_seen += gone->done_count + gone->in_flight;
        gone->is_gone = true;
        stream->at = gone->next;
    }
    if (stream->at != NULL) {
        return stream->at;
    }
    struct kafka_ticket *ticket = take_ticket(stream->sink);

    if (ticket == NULL) {
        return NULL;
    }
    ticket->stream = stream;
    ticket->place = item->place;
    ticket->count = item->records;
    if (stream->last != NULL) {
        stream->last->next = ticket;
    } else {
        stream->first = ticket;
    }
    stream->last = ticket;
    stream->at = ticket;
    return ticket;
}

/* False: nothing more can be sent now. */
static bool send_next(struct kafka_stream *stream)
{
    struct kafka_sink *sink = stream->sink;
    struct spool_log_item item;
    struct error err = {0};
    uint64_t suppressed = 0;
    const int found = spool_log_peek(stream->log, stream->cursor, &item, &err);

    if (found <= 0) {
        if (found < 0 && log_allowed(&sink->spool_log, LOG_INTERVAL_NS, &suppressed)) {
            log_error(sink->name, "the spool cannot be read", "reason=\"%s\"", err.message);
        }
        return false;
    }
    struct kafka_ticket *ticket = ticket_of(stream, &item);

    if (ticket == NULL) {
        return false;
    }
    if (item.place.next_position != 0) {
        ticket->place.next_position = item.place.next_position;
    }
    if (!read_item(&item, &sink->run)) { /* its CRC was right: of another version */
        kafka_count_failure(sink, RD_KAFKA_RESP_ERR__BAD_MSG, item.records, false);
        ticket->done_count = ticket->count;
    } else {
        rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
        uint64_t sent[BIT_WORDS];

        for (size_t i = 0; i < BIT_WORDS; i++) {
            ticket->sent[i] |= ticket->done[i];
            sent[i] = ticket->sent[i];
        }
        const enum kafka_sent result = kafka_send(stream, &sink->run, sent, ticket, &code);

        memcpy(ticket->sent, sent, sizeof(sent));
        if (result == KAFKA_REFUSED) {
            begin_again(stream, code);
        }
        if (result != KAFKA_SENT) {
            return false;
        }
    }
    spool_log_sent(stream->log, stream->cursor);
    stream->at = ticket->next;
    acknowledge(stream);
    return true;
}

/* spool.write: what is sent is on disk before. A disk that takes nothing is told by count_state. */
static void write_ahead(struct kafka_stream *stream)
{
    const enum spool_write how = spool_settings_write(&stream->sink->spool);
    struct error err = {0};

    if (how != SPOOL_WRITE_LAGGING && spool_log_write(stream->log, &err) == 0 &&
        how == SPOOL_WRITE_SYNCED) {
        (void)!spool_log_sync(stream->log, &err);
    }
}

static bool pump(struct kafka_stream *stream)
{
    bool has_sent = false;

    write_ahead(stream);
    if (stream->is_failing) {
        /* In order again: first the reports of all that is on its way. */
        if (stream->in_flight > 0 || clock_monotonic_ns() < stream->resume_ns ||
            stream->sink->client.producer == NULL) {
            return false;
        }
        stream->is_failing = false;
        spool_log_rewind(stream->log, stream->cursor);
        stream->at = stream->first;
    }
    for (int i = 0; i < 64 && !stream->is_failing && send_next(stream); i++) {
        has_sent = true;
    }
    return has_sent;
}

bool kafka_spool_pump(struct kafka_sink *sink)
{
    bool has_sent = false;

    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        if (sink->streams[kind].log != NULL) {
            has_sent = pump(&sink->streams[kind]) || has_sent;
        }
    }
    return has_sent;
}

/* ---- keeping house ---- */

static uint64_t disk_bytes(const struct kafka_stream *stream)
{
    struct spool_log_state state;

    spool_log_state(stream->log, &state);
    return state.disk_bytes;
}

/* The largest log gives its oldest file until all together are within the cap. */
static void keep_within_cap(struct kafka_sink *sink)
{
    for (;;) {
        struct kafka_stream *largest = NULL;
        struct error err = {0};
        uint64_t total = 0;

        for (int kind = 0; kind < KAFKA_KINDS; kind++) {
            struct kafka_stream *stream = &sink->streams[kind];

            if (stream->log != NULL) {
                total += disk_bytes(stream);
                if (largest == NULL || disk_bytes(stream) > disk_bytes(largest)) {
                    largest = stream;
                }
            }
        }
        if (largest == NULL || total <= sink->spool.bytes_max ||
            spool_log_drop_oldest(largest->log, &err) != 0) {
            return;
        }
        count_lost(largest, "spool.bytes");
    }
}

static void count_state(struct kafka_sink *sink)
{
    uint64_t bytes = 0;
    uint64_t errors = 0;
    uint64_t oldest_ns = 0;
    uint64_t suppressed = 0;

    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        struct spool_log_state state;

        if (sink->streams[kind].log == NULL) {
            continue;
        }
        spool_log_state(sink->streams[kind].log, &state);
        bytes += state.disk_bytes + state.memory_bytes;
        errors += state.disk_errors;
        if (state.oldest_time_ns != 0 && (oldest_ns == 0 || state.oldest_time_ns < oldest_ns)) {
            oldest_ns = state.oldest_time_ns;
        }
        if (state.disk_errors > counter_get(&sink->spool_disk_errors) &&
            log_allowed(&sink->spool_log, LOG_INTERVAL_NS, &suppressed)) {
            log_error(sink->name, "the spool cannot be written: its oldest records are dropped",
                      "reason=\"%s\" errors=%" PRIu64, state.disk_error, state.disk_errors);
        }
        count_lost(&sink->streams[kind], "disk");
    }
    counter_set(&sink->spool_bytes, bytes);
    counter_set(&sink->spool_disk_errors, errors);
    counter_set(&sink->oldest_ns, oldest_ns);
}

void kafka_spool_keep_house(struct kafka_sink *sink)
{
    const uint64_t now_ns = clock_monotonic_ns();

    keep_within_cap(sink);
    if (now_ns < sink->housekeeping_ns) {
        return;
    }
    sink->housekeeping_ns = now_ns + HOUSE_NS;
    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        struct kafka_stream *stream = &sink->streams[kind];
        struct error err = {0};

        if (stream->log == NULL) {
            continue;
        }
        if (sink->spool.age_max_ns > 0 &&
            spool_log_expire(stream->log, clock_wall_ns() - sink->spool.age_max_ns) > 0) {
            count_lost(stream, "spool.age");
        }
        (void)!spool_log_save(stream->log, &err);
    }
    count_state(sink);
}

void kafka_spool_close(struct kafka_sink *sink)
{
    uint64_t kept = 0;

    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        struct kafka_stream *stream = &sink->streams[kind];
        struct spool_log_cursor_state state;
        struct error err = {0};

        if (stream->log == NULL) {
            continue;
        }
        if (stream->cursor >= 0) {
            if (spool_log_flush(stream->log, &err) != 0) {
                log_error(sink->name, "the spool cannot be written: what it held is lost",
                          "topic=%s reason=\"%s\"", kafka_kind_name(stream->kind), err.message);
            }
            spool_log_cursor_state(stream->log, stream->cursor, &state);
            kept += state.unacked_records;
        }
        spool_log_close(stream->log);
        stream->log = NULL;
        while (stream->first != NULL) {
            return_first(stream);
        }
    }
    while (sink->free_tickets != NULL) {
        struct kafka_ticket *ticket = sink->free_tickets;

        sink->free_tickets = ticket->next;
        free(ticket);
    }
    if (kept > 0) {
        log_warn(sink->name, "records wait in the spool for the next start",
                 "records=%" PRIu64 " directory=%s", kept, sink->spool.directory);
    }
}

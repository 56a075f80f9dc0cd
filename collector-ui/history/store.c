/* The store thread's work: a batch becomes rows, sums and a position, a transaction at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/history/history_private.h"

/* Sums that the last record of the batch went to; those of the next are mostly the same. */
struct last_sums {
    struct rollup *rollup; /* NULL: there is none yet */
    int64_t start_s;
    uint64_t generation; /* of the history's rollups; at another one they lie elsewhere */
};

struct applying {
    struct history *h;
    const struct queued_batch *batch;
    int64_t boot_no;
    struct last_sums minute, hour; /* of flow records */
    struct error *err;
};

static int add_stats_to_sums(struct applying *a, uint32_t step, uint64_t at_ns,
                             const struct stats_record *stats)
{
    const int64_t second = (int64_t)(at_ns / NS_PER_SEC);
    struct rollup *const rollup =
        rollup_open(a->h, step, second - second % step, a->batch->sensor_id, a->err);

    if (rollup == NULL) {
        return -a->err->code;
    }
    rollup_add_stats(rollup, stats);
    return 0;
}

/* NULL with the error. */
static struct rollup *sums_of(struct applying *a, uint32_t step, uint64_t at_ns,
                              struct last_sums *last)
{
    const int64_t second = (int64_t)(at_ns / NS_PER_SEC);
    const int64_t start_s = second - second % step;

    if (last->rollup == NULL || last->start_s != start_s ||
        last->generation != a->h->rollups_generation) {
        last->rollup = rollup_open(a->h, step, start_s, a->batch->sensor_id, a->err);
        last->start_s = start_s;
        last->generation = a->h->rollups_generation;
    }
    return last->rollup;
}

static int add_flow_to_sums(struct applying *a, const struct flow_record *flow)
{
    struct rollup *rollup = sums_of(a, 60, flow->end_ns, &a->minute);

    if (rollup != NULL) {
        rollup_add_flow(rollup, flow, true);
        rollup = sums_of(a, 3600, flow->end_ns, &a->hour);
    }
    if (rollup != NULL) {
        rollup_add_flow(rollup, flow, false);
    }
    return rollup == NULL ? -a->err->code : 0;
}

static int put_flow(struct applying *a, const struct codec_slice *bytes, uint64_t seq)
{
    struct history *const h = a->h;
    struct flow_record *const f = h->flow;
    if (!codec_decode_flow(bytes->bytes, bytes->length, f)) {
        h->pending.records_undecodable++;
        return 0;
    }
    flow_rows_add(h->file->rows, f, bytes,
                  &(struct flow_place){a->batch->sensor_id, a->boot_no, seq});
    int result = flow_rows_are_full(h->file->rows) ? day_file_put_rows(h->file, a->err) : 0;
    result = result != 0 ? result : add_flow_to_sums(a, f);
    store_note_flow(h, f);
    if (h->pending_first_ns == 0 || f->end_ns < h->pending_first_ns) {
        h->pending_first_ns = f->end_ns;
    }
    h->pending.packets_stored += f->forward.delta_packets + f->reverse.delta_packets;
    h->pending.rows_flows++;
    h->pending.records_stored++;
    return result;
}

/* The record with the identity that the batch has left out; 0: it does not fit. */
static size_t with_identity(struct applying *a, const struct codec_slice *bytes, uint64_t seq)
{
    struct history *const h = a->h;
    const struct record_identity identity = {
        .sensor_id = {a->batch->sensor_id, (uint32_t)strlen(a->batch->sensor_id)},
        .boot_id = {a->batch->batch.boot_id, (uint32_t)strlen(a->batch->batch.boot_id)},
        .seq = seq};
    if (bytes->length > CODEC_STATS_BYTES_MAX) {
        return 0;
    }
    memcpy(h->scratch, bytes->bytes, bytes->length);
    const size_t more =
        codec_append_identity(&identity, h->scratch + bytes->length, CODEC_IDENTITY_BYTES_MAX);
    return more == 0 ? 0 : bytes->length + more;
}

static int put_alert(struct applying *a, const struct codec_slice *bytes, uint64_t seq)
{
    struct history *const h = a->h;
    arena_reset(h->arena);
    const size_t length = with_identity(a, bytes, seq);
    if (length == 0 || !codec_decode_alert(bytes->bytes, bytes->length, h->arena, h->alert)) {
        h->pending.records_undecodable++;
        return 0;
    }
    sqlite3_stmt *const to = h->file->statements[DAY_ALERT];
    sqlite3_bind_int64(to, 1, day_file_integer(h->alert->last_ns));
    sqlite3_bind_text(to, 2, h->alert->alert_id, -1, SQLITE_STATIC);
    sqlite3_bind_int(to, 3, h->alert->state);
    sqlite3_bind_blob(to, 4, h->scratch, (int)length, SQLITE_STATIC);
    const int result = day_file_step(h->file, DAY_ALERT, a->err);
    alert_state_update(h, h->alert->alert_id, h->alert->state, h->scratch, (uint32_t)length);
    live_add_alert(h->live, h->scratch, (uint32_t)length);
    store_note_range(h, h->alert->first_ns != 0 ? h->alert->first_ns : h->alert->last_ns,
                     h->alert->last_ns);
    h->pending.rows_alerts++;
    h->pending.records_stored++;
    return result;
}

static int put_stats(struct applying *a, const struct codec_slice *bytes, uint64_t seq)
{
    struct history *const h = a->h;
    arena_reset(h->arena);
    if (!codec_decode_stats(bytes->bytes, bytes->length, h->arena, h->stats)) {
        h->pending.records_undecodable++;
        return 0;
    }
    /* The interval is [start, end): its end may be the first moment of the next second. */
    const uint64_t at_ns = h->stats->start_ns != 0 ? h->stats->start_ns : h->stats->end_ns;
    sqlite3_stmt *const to = h->file->statements[DAY_STATS];
    sqlite3_bind_int64(to, 1, day_file_integer(h->stats->end_ns));
    sqlite3_bind_text(to, 2, a->batch->sensor_id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(to, 3, a->boot_no);
    sqlite3_bind_int64(to, 4, day_file_integer(seq));
    sqlite3_bind_blob(to, 5, bytes->bytes, (int)bytes->length, SQLITE_STATIC);
    int result = day_file_step(h->file, DAY_STATS, a->err);
    static const uint32_t steps[] = {1, 60, 3600};
    for (unsigned i = 0; i < ARRAY_COUNT(steps) && result == 0 && at_ns != 0; i++) {
        result = add_stats_to_sums(a, steps[i], at_ns, h->stats);
    }
    live_add_stats(h->live, a->batch->sensor_id, a->batch->batch.boot_id, h->stats);
    if (h->stats->totals.packets > 0) {
        store_note_range(h, at_ns, h->stats->end_ns);
    }
    h->pending.rows_stats++;
    h->pending.records_stored++;
    return result;
}

static int put_packet(struct applying *a, const struct codec_slice *bytes, uint64_t seq)
{
    struct history *const h = a->h;
    const size_t length = with_identity(a, bytes, seq);
    struct packet_sample sample;
    if (length == 0 || !codec_decode_packet(bytes->bytes, bytes->length, &sample)) {
        h->pending.records_undecodable++;
        return 0;
    }
    const uint64_t number = h->packets_next;
    sqlite3_stmt *const to = h->file->statements[DAY_PACKET];
    sqlite3_bind_int64(to, 1, day_file_integer(number));
    sqlite3_bind_blob(to, 2, h->scratch, (int)length, SQLITE_STATIC);
    const int result = day_file_step(h->file, DAY_PACKET, a->err);
    packet_keep(h, number, h->scratch, (uint32_t)length);
    live_add_packets(h->live, 1);
    h->pending.rows_packets++;
    h->pending.records_stored++;
    return result;
}

static int put_records(struct applying *a, const struct codec_batch *list, uint64_t skip)
{
    struct history *const h = a->h;
    int result = 0;
    for (uint64_t i = skip; i < list->record_count && result == 0; i++) {
        const struct codec_slice *const bytes = &h->slices[i];
        const uint64_t seq = a->batch->batch.first_seq + i;
        switch (a->batch->batch.stream) {
        case RECORD_FLOWS:
            result = put_flow(a, bytes, seq);
            break;
        case RECORD_ALERTS:
            result = put_alert(a, bytes, seq);
            break;
        case RECORD_STATS:
            result = put_stats(a, bytes, seq);
            break;
        case RECORD_PACKETS:
            result = put_packet(a, bytes, seq);
            break;
        case RECORD_DNS: /* acknowledged; who wants them asks the sensor, or Kafka */
            h->pending.records_not_kept++;
            break;
        default: /* a stream of a newer sensor: its place is kept, its records are counted */
            h->pending.records_undecodable++;
            break;
        }
        h->transaction_rows++;
    }
    return result != 0 ? result : day_file_put_rows(h->file, a->err); /* they borrow the batch */
}

static int begin(struct history *h, const struct queued_batch *batch, struct error *err)
{
    const int64_t day = (int64_t)(batch->batch.receive_ns / NS_PER_SEC / 86400);
    /* Only forwards: after a step back of the clock rows go on into the newer file. */
    int64_t newest = day;
    pthread_mutex_lock(&h->lock);
    if (h->files_count > 0 && h->files[h->files_count - 1].day > newest) {
        newest = h->files[h->files_count - 1].day;
    }
    pthread_mutex_unlock(&h->lock);
    if (h->file == NULL || h->file->day != newest) {
        int result = h->file == NULL ? 0 : store_commit(h, err);
        if (result == 0) {
            store_checkpoint(h);
            result = store_turn(h, newest, err);
        }
        if (result != 0) {
            return result;
        }
    }
    if (h->is_in_transaction) {
        return 0;
    }
    const int result = day_file_run(h->file, "BEGIN IMMEDIATE", err);
    h->is_in_transaction = result == 0;
    h->transaction_rows = 0;
    h->transaction_started_ns = clock_monotonic_ns();
    return result;
}

int store_apply(struct history *h, const struct queued_batch *batch, struct error *err)
{
    int result = begin(h, batch, err);
    if (result != 0) {
        return result;
    }
    const struct history_batch *const b = &batch->batch;
    struct position *const position =
        position_find(h, batch->sensor_id, b->boot_id, (uint32_t)b->stream | b->lane << 8, true);
    if (position == NULL) {
        return error_set(err, ENOMEM, "positions of %u sensors: out of memory", h->positions_count);
    }
    const uint64_t end = b->first_seq + b->record_count;
    const uint64_t skip = position->next_seq > b->first_seq ? position->next_seq - b->first_seq : 0;
    h->pending.batches_in++;
    h->pending.records_in += b->record_count;
    h->applied_position =
        b->log_position > h->applied_position ? b->log_position : h->applied_position;
    if (skip >= b->record_count) {
        h->pending.records_duplicate += b->record_count;
        return 0;
    }
    h->pending.records_duplicate += skip;
    struct codec_batch list;
    if (codec_decode_batch(b->message, b->length, &list, h->slices, BATCH_RECORDS_MAX) &&
        list.record_count == b->record_count) {
        struct applying applying = {
            .h = h, .batch = batch, .boot_no = store_boot_no(h, b->boot_id, err), .err = err};
        result = applying.boot_no < 0 ? (int)applying.boot_no : put_records(&applying, &list, skip);
    } else {
        h->pending.records_undecodable += b->record_count - skip;
    }
    position->next_seq = end;
    position->updated_ns = b->receive_ns;
    position->is_dirty = true;
    return result;
}

static int write_positions(struct history *h, struct error *err)
{
    sqlite3_stmt *const to = h->file->statements[DAY_POSITION];
    for (uint32_t i = 0; i < h->positions_count; i++) {
        struct position *const p = &h->positions[i];
        if (!p->is_dirty) {
            continue;
        }
        sqlite3_bind_text(to, 1, p->sensor_id, -1, SQLITE_STATIC);
        sqlite3_bind_text(to, 2, p->boot_id, -1, SQLITE_STATIC);
        sqlite3_bind_int64(to, 3, p->sequence);
        sqlite3_bind_int64(to, 4, day_file_integer(p->next_seq));
        sqlite3_bind_int64(to, 5, day_file_integer(p->updated_ns));
        const int result = day_file_step(h->file, DAY_POSITION, err);
        if (result != 0) {
            return result;
        }
        p->is_dirty = false;
    }
    return 0;
}

static int write_meta(struct history *h, struct error *err)
{
    const struct {
        const char *key;
        uint64_t value;
        bool is_sum;
    } rows[] = {{"min_ns", h->range.min_ns, false},
                {"max_ns", h->range.max_ns, false},
                {META_DELTA_MAX, h->range.delta_max_ns, false},
                {META_LIFE_MAX, h->range.life_max_ns, false},
                {"log_position", h->applied_position, false},
                {"packets_stored", h->pending.packets_stored, true},
                {"rows_flows", h->pending.rows_flows, true},
                {META_MEASURED, h->pending.rows_flows, true},
                {"rows_alerts", h->pending.rows_alerts, true},
                {"rows_stats", h->pending.rows_stats, true}};
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
        const enum day_statement statement = rows[i].is_sum ? DAY_META_ADD : DAY_META;
        sqlite3_bind_text(h->file->statements[statement], 1, rows[i].key, -1, SQLITE_STATIC);
        sqlite3_bind_int64(h->file->statements[statement], 2, day_file_integer(rows[i].value));
        const int result = day_file_step(h->file, statement, err);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int trim_packets(struct history *h, struct error *err)
{
    if (h->packets_next <= h->settings.packet_buffer) {
        return 0;
    }
    sqlite3_bind_int64(h->file->statements[DAY_PACKET_TRIM], 1,
                       day_file_integer(h->packets_next - 1 - h->settings.packet_buffer));
    return day_file_step(h->file, DAY_PACKET_TRIM, err);
}

static void add_counts(struct history *h)
{
    struct history_counts *const to = &h->counts;
    const struct history_counts *const from = &h->pending;
    pthread_mutex_lock(&h->lock);
    to->batches_in += from->batches_in;
    to->records_in += from->records_in;
    to->records_stored += from->records_stored;
    to->records_duplicate += from->records_duplicate;
    to->records_undecodable += from->records_undecodable;
    to->records_not_kept += from->records_not_kept;
    to->packets_stored += from->packets_stored;
    to->rows_flows += from->rows_flows;
    to->rows_alerts += from->rows_alerts;
    to->rows_stats += from->rows_stats;
    to->rows_packets += from->rows_packets;
    to->last_commit_ns = clock_wall_ns();
    pthread_mutex_unlock(&h->lock);
    memset(&h->pending, 0, sizeof h->pending);
}

/* Old records have come late: what was fetched of the other store may have them, too. */
static void forget_past(struct history *h)
{
    if (h->pending_first_ns != 0 && past_is_asked(h, h->pending_first_ns)) {
        past_forget(h);
    }
    h->pending_first_ns = 0;
}

int store_commit(struct history *h, struct error *err)
{
    if (!h->is_in_transaction) {
        return 0;
    }
    int result = rollups_write(h, err);
    result = result != 0 ? result : write_positions(h, err);
    result = result != 0 ? result : write_meta(h, err);
    result = result != 0 ? result : trim_packets(h, err);
    result = result != 0 ? result : day_file_run(h->file, "COMMIT", err);
    if (result == 0) {
        h->is_in_transaction = false;
        add_counts(h);
        store_publish_range(h);
        forget_past(h);
    }
    return result;
}

/* The write-ahead log is synced here, and only then may ingest's log forget what is in it. */
void store_checkpoint(struct history *h)
{
    const uint64_t position = h->applied_position;
    h->checkpoint_ns = clock_monotonic_ns();
    if (h->file == NULL || h->is_in_transaction) {
        return;
    }
    const int code =
        sqlite3_wal_checkpoint_v2(h->file->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (code == SQLITE_OK) {
        atomic_store(&h->log_position, position);
    }
}

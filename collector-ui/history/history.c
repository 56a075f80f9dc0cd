/* Life of the store: its queue, its thread, its end. */
#include "collector-ui/history/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "collector-ui/history/history_private.h"

#define RETENTION_EVERY_NS (30 * NS_PER_SEC)

static void fail(struct history *h, const struct error *err)
{
    snprintf(h->failure, sizeof h->failure, "%s", err->message);
    atomic_store(&h->has_failed, true);
    pthread_mutex_lock(&h->lock);
    pthread_cond_broadcast(&h->not_full);
    pthread_mutex_unlock(&h->lock);
}

/* The next batch, or NULL when `until_ns` (monotonic) has come or the store stops. */
static struct queued_batch *next_batch(struct history *h, uint64_t until_ns, bool *is_stopping)
{
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};
    pthread_mutex_lock(&h->lock);
    while (h->head == NULL && !h->is_stopping &&
           pthread_cond_timedwait(&h->not_empty, &h->lock, &until) != ETIMEDOUT) {
    }
    struct queued_batch *const batch = h->head;
    if (batch != NULL) {
        h->head = batch->next;
        if (h->head == NULL) {
            h->tail = &h->head;
        }
        h->queue_used--;
        pthread_cond_signal(&h->not_full);
    }
    *is_stopping = h->is_stopping && batch == NULL;
    pthread_mutex_unlock(&h->lock);
    return batch;
}

static void housekeeping(struct history *h, uint64_t now_ns, bool is_idle)
{
    if (!h->is_in_transaction && now_ns - h->checkpoint_ns >= NS_PER_SEC &&
        atomic_load(&h->log_position) != h->applied_position) {
        store_checkpoint(h);
    }
    if (is_idle && (h->retention_ns == 0 || now_ns - h->retention_ns >= RETENTION_EVERY_NS)) {
        h->retention_ns = now_ns;
        retention_run(h, clock_wall_ns());
    }
}

static void *store_main(void *context)
{
    struct history *const h = context;
    struct error err = {0};
    bool is_stopping = false;
    int result = 0;
    while (!is_stopping && result == 0) {
        uint64_t now_ns = clock_monotonic_ns();
        const uint64_t due_ns = h->is_in_transaction
                                    ? h->transaction_started_ns + h->settings.commit_ns
                                    : now_ns + NS_PER_SEC;
        struct queued_batch *const batch = next_batch(h, due_ns, &is_stopping);
        if (batch != NULL) {
            result = store_apply(h, batch, &err);
            free(batch);
        }
        now_ns = clock_monotonic_ns();
        if (result == 0 && h->is_in_transaction &&
            (is_stopping || h->transaction_rows >= h->settings.commit_rows ||
             now_ns >= h->transaction_started_ns + h->settings.commit_ns)) {
            result = store_commit(h, &err);
        }
        if (result == 0) {
            housekeeping(h, now_ns, !h->is_in_transaction);
        }
    }
    if (result != 0) {
        if (h->file != NULL && h->is_in_transaction) {
            sqlite3_exec(h->file->db, "ROLLBACK", NULL, NULL, NULL);
        }
        fail(h, &err);
    } else {
        store_checkpoint(h);
    }
    return NULL;
}

static bool take_memory(struct history *h)
{
    h->slices = calloc(BATCH_RECORDS_MAX, sizeof *h->slices);
    h->flow = calloc(1, sizeof *h->flow);
    h->alert = calloc(1, sizeof *h->alert);
    h->stats = calloc(1, sizeof *h->stats);
    h->arena = arena_new((size_t)4 << 20);
    h->scratch = malloc(CODEC_STATS_BYTES_MAX + CODEC_IDENTITY_BYTES_MAX);
    h->alerts = calloc(OPEN_ALERTS_MAX, sizeof *h->alerts);
    h->packets = calloc(h->settings.packet_buffer, sizeof *h->packets);
    h->rollups = calloc((size_t)ROLLUPS_OPEN_MAX * 2, sizeof *h->rollups);
    h->live = live_new();
    return h->slices != NULL && h->flow != NULL && h->alert != NULL && h->stats != NULL &&
           h->arena != NULL && h->scratch != NULL && h->alerts != NULL && h->packets != NULL &&
           h->rollups != NULL && h->live != NULL;
}

struct history *history_new(const struct history_settings *settings, struct error *err)
{
    error_clear(err);
    AUTO(history) h = calloc(1, sizeof *h);
    if (h == NULL) {
        error_set(err, ENOMEM, "history: out of memory");
        return NULL;
    }
    h->settings = *settings;
    h->settings.packet_buffer = settings->packet_buffer != 0 ? settings->packet_buffer : 2000;
    h->settings.queue_batches = settings->queue_batches != 0 ? settings->queue_batches : 256;
    h->settings.commit_ns = settings->commit_ns != 0 ? settings->commit_ns : NS_PER_SEC;
    h->settings.commit_rows = settings->commit_rows != 0 ? settings->commit_rows : 20000;
    h->settings.query_time_ns =
        settings->query_time_ns != 0 ? settings->query_time_ns : 20 * NS_PER_SEC;
    h->settings.query_rows = settings->query_rows != 0 ? settings->query_rows : 5000000;
    h->settings.query_groups = settings->query_groups != 0 ? settings->query_groups : 65536;
    h->settings.merge_flows = settings->merge_flows != 0 ? settings->merge_flows : 500000;
    h->tail = &h->head;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        h->lanes[i].tail = &h->lanes[i].head;
    }
    past_init(h);
    h->packets_next = 1;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->not_empty, &attributes);
    pthread_cond_init(&h->not_full, &attributes);
    pthread_cond_init(&h->has_job, &attributes);
    pthread_condattr_destroy(&attributes);
    if (strlen(settings->directory) >= sizeof h->directory) {
        error_set(err, ENAMETOOLONG, "history.directory: longer than %zu", sizeof h->directory - 1);
        return NULL;
    }
    snprintf(h->directory, sizeof h->directory, "%s", settings->directory);
    past_clean(h);
    if (!take_memory(h)) {
        error_set(err, ENOMEM, "history: out of memory");
        return NULL;
    }
    struct error local = {0};
    if (store_open(h, &local) != 0 || query_pool_start(h, &local) != 0) {
        error_set(err, local.code, "%s", local.message);
        return NULL;
    }
    if (pthread_create(&h->thread, NULL, store_main, h) != 0) {
        error_set(err, EAGAIN, "history: no thread for the store");
        return NULL;
    }
    h->is_started = true;
    return TAKE(h);
}

static void free_memory(struct history *h)
{
    while (h->head != NULL) {
        struct queued_batch *const next = h->head->next;
        free(h->head);
        h->head = next;
    }
    for (uint32_t i = 0; i < h->alerts_count; i++) {
        free(h->alerts[i].record);
    }
    for (uint32_t i = 0; h->packets != NULL && i < h->settings.packet_buffer; i++) {
        free(h->packets[i].record);
    }
    if (h->rollups != NULL) {
        rollups_forget(h);
    }
    day_file_free(h->file);
    live_free(h->live);
    arena_free(h->arena);
    free(h->slices);
    free(h->flow);
    free(h->alert);
    free(h->stats);
    free(h->scratch);
    free(h->alerts);
    free(h->packets);
    free(h->rollups);
    free(h->positions);
    free(h->position_slots);
    free(h->boots);
    free(h->files);
}

void history_free(struct history *h)
{
    if (h == NULL) {
        return;
    }
    query_pool_stop(h);
    past_fini(h);
    if (h->is_started) {
        pthread_mutex_lock(&h->lock);
        h->is_stopping = true;
        pthread_cond_broadcast(&h->not_empty);
        pthread_cond_broadcast(&h->not_full);
        pthread_mutex_unlock(&h->lock);
        pthread_join(h->thread, NULL);
    }
    free_memory(h);
    pthread_cond_destroy(&h->not_empty);
    pthread_cond_destroy(&h->not_full);
    pthread_cond_destroy(&h->has_job);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

bool history_offer(struct history *h, const struct history_batch *batch)
{
    struct queued_batch *const copy = malloc(sizeof *copy + batch->length);
    if (copy == NULL) {
        return false;
    }
    memset(copy, 0, sizeof *copy);
    copy->batch = *batch;
    const uint32_t length =
        batch->sensor_id.length < SENSOR_ID_BYTES ? batch->sensor_id.length : SENSOR_ID_BYTES - 1;
    memcpy(copy->sensor_id, batch->sensor_id.data, length);
    memcpy(copy->message, batch->message, batch->length);
    copy->batch.message = copy->message;
    pthread_mutex_lock(&h->lock);
    while (h->queue_used >= h->settings.queue_batches && !atomic_load(&h->has_failed) &&
           !h->is_stopping) {
        pthread_cond_wait(&h->not_full, &h->lock);
    }
    const bool is_taken = !atomic_load(&h->has_failed) && !h->is_stopping;
    if (is_taken) {
        *h->tail = copy;
        h->tail = &copy->next;
        h->queue_used++;
        pthread_cond_signal(&h->not_empty);
    }
    pthread_mutex_unlock(&h->lock);
    if (!is_taken) {
        free(copy);
    }
    return is_taken;
}

const char *history_failure(struct history *h)
{
    return atomic_load(&h->has_failed) ? h->failure : NULL;
}

uint64_t history_log_position(struct history *h)
{
    return atomic_load(&h->log_position);
}

void history_each_position(struct history *h,
                           void (*each)(void *context, const char *sensor_id, const char *boot_id,
                                        enum record_stream stream, uint32_t lane,
                                        uint64_t next_seq),
                           void *context)
{
    for (uint32_t i = 0; i < h->positions_count; i++) {
        const struct position *const p = &h->positions[i];
        each(context, p->sensor_id, p->boot_id, (enum record_stream)(p->sequence & 0xff),
             p->sequence >> 8, p->next_seq);
    }
}

void history_each_open_alert(struct history *h,
                             void (*each)(void *context, const uint8_t *record, size_t length),
                             void *context)
{
    for (uint32_t i = 0; i < h->alerts_count; i++) {
        each(context, h->alerts[i].record, h->alerts[i].length);
    }
}

void history_gap(struct history *h, const char *sensor_id, const char *boot_id,
                 enum record_stream stream, uint64_t from_seq, uint64_t to_seq)
{
    (void)sensor_id;
    (void)boot_id;
    (void)stream;
    pthread_mutex_lock(&h->lock);
    h->gap_records += to_seq >= from_seq ? to_seq - from_seq + 1 : 0;
    pthread_mutex_unlock(&h->lock);
}

void history_counts_read(struct history *h, struct history_counts *out)
{
    pthread_mutex_lock(&h->lock);
    *out = h->counts;
    out->queue_used = h->queue_used;
    out->gap_records = h->gap_records;
    pthread_mutex_unlock(&h->lock);
}

/* The sink's thread: queue to spool, spool to disk, disk to collector. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/export/collector_sink_private.h"

#define TICK_NS       (50 * NS_PER_MS)
#define CLOSE_WAIT_NS (2 * NS_PER_SEC)
#define VAIN_NS       (3 * NS_PER_SEC) /* a restarted collector is back by then */

/* What one turn works on. */
struct turn {
    struct collector_queued *queue; /* taken and not yet in the spool */
    struct collector_news *news;
    bool has_news;
    bool is_closing;
    uint32_t flush_wanted;
};

static void wait_for_work(struct collector_sink *sink, const struct turn *turn)
{
    const uint64_t until_ns = clock_monotonic_ns() + TICK_NS;
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};
    int result = 0;

    while (result == 0 && !sink->has_news && sink->first == NULL &&
           sink->flush_wanted == sink->flush_done && sink->is_closing == turn->is_closing) {
        result = pthread_cond_timedwait(&sink->wake, &sink->lock, &until);
    }
}

/* With the lock. */
static void take_news(struct collector_sink *sink, struct turn *turn)
{
    const size_t head = offsetof(struct collector_news, acks);

    turn->has_news = sink->has_news;
    if (turn->has_news) {
        memcpy(turn->news, &sink->news, head + sink->news.acks_count * sizeof(sink->news.acks[0]));
        memset(&sink->news, 0, head);
        sink->has_news = false;
    }
}

static void begin_turn(struct collector_sink *sink, struct turn *turn)
{
    struct collector_queued **end = &turn->queue;

    (void)pthread_mutex_lock(&sink->lock);
    wait_for_work(sink, turn);
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = sink->first;
    sink->first = NULL;
    sink->last = &sink->first;
    take_news(sink, turn);
    turn->is_closing = sink->is_closing;
    turn->flush_wanted = sink->flush_wanted;
    (void)pthread_mutex_unlock(&sink->lock);
}

static void show_clock(const struct collector_sink *sink, struct stats_sink *row)
{
    const struct collector_clock *clock = &sink->clock;
    uint32_t best = 0;

    for (uint32_t i = 1; i < COLLECTOR_CLOCK_SAMPLES && i < clock->count; i++) {
        if (clock->samples[i].trip_ns < clock->samples[best].trip_ns) {
            best = i;
        }
    }
    row->clock = (struct stats_clock){.is_synced = clock->count > 0,
                                      .offset_ns = clock->samples[best].offset_ns,
                                      .trip_ns = clock->samples[best].trip_ns};
}

static void show_figures(struct collector_sink *sink, const struct turn *turn, uint64_t unwritten)
{
    struct stats_sink row = {.connected = sink->is_welcomed,
                             .sent = sink->sent,
                             .acked = sink->acked,
                             .retried = sink->retried,
                             .spool_errors = sink->disk_errors,
                             .max_rate = collector_rate_lowest(sink),
                             .throttles = sink->throttles,
                             .redirects = sink->redirect.followed,
                             .redirects_refused = sink->redirect.refused};

    collector_spool_figures(sink, &row);
    show_clock(sink, &row);
    memcpy(row.last_error, sink->last_error, sizeof(row.last_error));
    (void)snprintf(row.redirected_to, sizeof(row.redirected_to), "%.127s", sink->redirect.address);
    memcpy(row.spool_trouble, sink->spool_trouble, sizeof(row.spool_trouble));
    (void)pthread_mutex_lock(&sink->lock);
    row.failed = sink->lost + sink->refused;
    sink->row = row;
    sink->queue_bytes -= sink->taken_bytes;
    sink->queue_records -= sink->taken_records;
    sink->is_flush_vain = sink->directory[0] != '\0' && !sink->is_welcomed &&
                          sink->last_error[0] != '\0' &&
                          clock_monotonic_ns() - sink->down_ns > VAIN_NS;
    if (turn->flush_wanted != sink->flush_done) {
        sink->flush_done = turn->flush_wanted;
        sink->unwritten = unwritten;
    }
    (void)pthread_cond_broadcast(&sink->changed);
    (void)pthread_mutex_unlock(&sink->lock);
    sink->taken_bytes = 0;
    sink->taken_records = 0;
}

static void work(struct collector_sink *sink, struct turn *turn)
{
    const uint64_t now_ns = clock_monotonic_ns();
    const bool is_flush = turn->flush_wanted != sink->flush_done;
    uint64_t unwritten = 0;

    turn->queue = collector_spool_take(sink, turn->queue, is_flush || turn->is_closing);
    if (turn->has_news) {
        collector_stream_take(sink, turn->news, now_ns);
    }
    collector_spool_keep_house(sink, now_ns);
    if (!turn->is_closing) {
        collector_redirect_watch(sink, now_ns);
        collector_sink_dial(sink, now_ns);
    }
    collector_stream_pump(sink, now_ns, turn->is_closing);
    if (is_flush) {
        unwritten = collector_spool_flush(sink);
    }
    show_figures(sink, turn, unwritten);
}

/* Once closing: the call is told goodbye when it is welcomed, else ended at once. */
static void end_call(struct collector_sink *sink)
{
    const bool is_late = clock_monotonic_ns() - sink->closing_ns > CLOSE_WAIT_NS;

    if (sink->call != NULL && (!sink->is_welcomed || is_late)) {
        rpc_cancel(sink->call, RPC_CANCELLED, "the sensor stops");
    }
}

static void *run(void *argument)
{
    struct collector_sink *sink = argument;
    struct turn turn = {.news = calloc(1, sizeof(*turn.news))};

    if (turn.news == NULL) {
        log_error("collector", "no memory: nothing is sent", NULL);
        return NULL;
    }
    do {
        begin_turn(sink, &turn);
        if (turn.is_closing && sink->closing_ns == 0) {
            sink->closing_ns = clock_monotonic_ns();
        }
        work(sink, &turn);
        if (turn.is_closing) {
            end_call(sink);
        }
    } while (!turn.is_closing || sink->call != NULL);
    free(turn.news);
    return NULL;
}

int collector_thread_start(struct collector_sink *sink, struct error *err)
{
    const int code = pthread_create(&sink->thread, NULL, run, sink);

    sink->has_thread = code == 0;
    return code == 0 ? 0 : error_set(err, code, "collector: no thread: %s", strerror(code));
}

void collector_thread_stop(struct collector_sink *sink)
{
    if (!sink->has_thread) {
        return;
    }
    (void)pthread_mutex_lock(&sink->lock);
    sink->is_closing = true;
    (void)pthread_cond_signal(&sink->wake);
    (void)pthread_mutex_unlock(&sink->lock);
    (void)pthread_join(sink->thread, NULL);
    sink->has_thread = false;
}

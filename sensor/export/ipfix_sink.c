#include "sensor/export/ipfix_sink.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/ring.h"
#include "base/thread.h"
#include "proto/codec.h"
#include "proto/filter/filter.h"
#include "proto/ipfix/ipfix.h"
#include "sensor/export/ipfix_peer.h"

#define HAND_OVER_BATCHES 16 /* batches pinned by this sink at most, one more in work */
#define LINGER_NS         (NS_PER_SEC / 2) /* a message that is not full leaves then */
#define BACKOFF_FIRST_NS  (NS_PER_SEC / 5)
#define BURST_NS          (20 * NS_PER_MS)  /* what `rate` allows at once */
#define REDIAL_NS         (30 * NS_PER_SEC) /* UDP: a refused name is looked up again */
#define REFUSED_SHOWN_NS  (5 * NS_PER_SEC)
#define LOG_INTERVAL_NS   (10 * NS_PER_SEC)
#define IDLE_MS           100
#define BUSY_MS           20

/* offered = left_out + sent + failed + owed, in flow records. */
struct ipfix_sink {
    struct sink_ops ops;
    char name[24];
    const struct ipfix_export_settings *settings;
    struct ring *hand_over;
    int event;
    pthread_t thread;
    atomic_bool is_stopping, is_flushing, is_connected;
    atomic_uint_fast64_t give_up_ns;
    struct counter offered, left_out, sent, failed;
    pthread_mutex_t error_lock;
    char last_error[160];
    /* The thread's. */
    struct ipfix_peer peer;
    struct ipfix_writer *writer;
    struct filter *filter;
    struct record_batch *batch; /* in work, from `next` on */
    uint32_t next;
    struct ipfix_message
        held; /* its bytes are `held_bytes`; length 0: none. TCP: to be sent again */
    uint8_t *held_bytes;
    uint32_t last_flows; /* UDP: of the datagram that a refusal would be about */
    uint64_t message_since_ns, told_ns, retry_ns, backoff_ns, pace_ns, refused_ns;
    struct log_limit log;
    struct flow_record record;
};

static void keep_error(struct ipfix_sink *sink, const char *text)
{
    (void)pthread_mutex_lock(&sink->error_lock);
    (void)snprintf(sink->last_error, sizeof(sink->last_error), "%.159s", text);
    (void)pthread_mutex_unlock(&sink->error_lock);
}

static uint64_t owed(const struct ipfix_sink *sink)
{
    const uint64_t done =
        counter_get(&sink->left_out) + counter_get(&sink->sent) + counter_get(&sink->failed);
    const uint64_t offered = counter_get(&sink->offered);

    return offered > done ? offered - done : 0;
}

static bool is_giving_up(const struct ipfix_sink *sink)
{
    return atomic_load_explicit(&sink->give_up_ns, memory_order_relaxed) != 0;
}

/* ---- one message ---- */

static void tell_trouble(struct ipfix_sink *sink, const char *what, const struct error *err)
{
    char quoted[700];
    uint64_t suppressed = 0;

    atomic_store_explicit(&sink->is_connected, false, memory_order_relaxed);
    keep_error(sink, err->message);
    if (log_allowed(&sink->log, LOG_INTERVAL_NS, &suppressed)) {
        log_warn(sink->name, what, "reason=%s suppressed=%" PRIu64,
                 log_quote(err->message, quoted, sizeof(quoted)), suppressed);
    }
}

static void retry_later(struct ipfix_sink *sink)
{
    sink->retry_ns = clock_monotonic_ns() + sink->backoff_ns;
    sink->backoff_ns = sink->backoff_ns * 2 < sink->settings->backoff_max_ns
                           ? sink->backoff_ns * 2
                           : sink->settings->backoff_max_ns;
}

/* Holds a datagram of `flows` back as long as `rate` asks. */
static void pace(struct ipfix_sink *sink, uint32_t flows)
{
    const uint64_t rate = sink->settings->rate;

    if (sink->peer.is_tcp || rate == 0 || flows == 0) {
        return;
    }
    uint64_t now_ns = clock_monotonic_ns();

    while (now_ns < sink->pace_ns && !is_giving_up(sink)) {
        const struct timespec step = {.tv_nsec = NS_PER_MS};

        (void)nanosleep(&step, NULL);
        now_ns = clock_monotonic_ns();
    }
    if (sink->pace_ns + BURST_NS < now_ns) {
        sink->pace_ns = now_ns - BURST_NS;
    }
    sink->pace_ns += flows * NS_PER_SEC / rate;
}

/* What left last has come to nothing. */
static void take_refusal(struct ipfix_sink *sink, const struct error *err)
{
    counter_add(&sink->failed, sink->last_flows);
    counter_set(&sink->sent, counter_get(&sink->sent) - sink->last_flows);
    sink->last_flows = 0;
    sink->refused_ns = clock_monotonic_ns();
    tell_trouble(sink, "the collector's machine refuses datagrams", err);
    if (sink->refused_ns - sink->peer.dialed_ns > REDIAL_NS) {
        ipfix_peer_hang_up(&sink->peer);
    }
}

/* False: hung up. */
static bool deliver(struct ipfix_sink *sink, const struct ipfix_message *message)
{
    struct error err = {0};

    pace(sink, message->flows);
    enum ipfix_sent sent = ipfix_peer_send(&sink->peer, message->bytes, message->length, &err);

    if (sent == IPFIX_REFUSED) {
        take_refusal(sink, &err);
        sent = sink->peer.fd >= 0
                   ? ipfix_peer_send(&sink->peer, message->bytes, message->length, &err)
                   : IPFIX_BROKEN;
    }
    if (sent == IPFIX_SENT) {
        counter_add(&sink->sent, message->flows);
        sink->last_flows = message->flows;
        if (clock_monotonic_ns() - sink->refused_ns > REFUSED_SHOWN_NS) {
            atomic_store_explicit(&sink->is_connected, true, memory_order_relaxed);
        }
        return true;
    }
    if (!sink->peer.is_tcp) {
        counter_add(&sink->failed, message->flows);
    } else if (message->bytes != sink->held_bytes && message->flows > 0) {
        memcpy(sink->held_bytes, message->bytes, message->length);
        sink->held = *message;
        sink->held.bytes = sink->held_bytes;
    }
    if (sent == IPFIX_BROKEN) {
        tell_trouble(sink, "the collector is lost", &err);
        retry_later(sink);
    }
    return sink->peer.fd >= 0;
}

/* What the writer holds. False: hung up. */
static bool send_message(struct ipfix_sink *sink)
{
    struct ipfix_message message;

    sink->message_since_ns = 0;
    return !ipfix_writer_finish(sink->writer, clock_wall_ns(), &message) || deliver(sink, &message);
}

/* All that is due of templates and options. */
static bool tell(struct ipfix_sink *sink)
{
    bool is_told = false;

    sink->told_ns = clock_monotonic_ns();
    while (!is_told) {
        is_told = ipfix_writer_tell(sink->writer);
        if (!send_message(sink)) {
            return false;
        }
    }
    return true;
}

/* ---- the connection ---- */

static bool send_held(struct ipfix_sink *sink)
{
    if (sink->held.length == 0) {
        return true;
    }
    ipfix_writer_renumber(sink->writer, &sink->held, sink->held_bytes);
    if (!deliver(sink, &sink->held)) {
        return false;
    }
    sink->held.length = 0;
    return true;
}

/* Whether there is a connection that knows the templates. */
static bool connect_when_due(struct ipfix_sink *sink)
{
    struct error err = {0};

    if (sink->peer.fd >= 0) {
        return true;
    }
    if (clock_monotonic_ns() < sink->retry_ns) {
        return false;
    }
    if (ipfix_peer_dial(&sink->peer, &err) != 0) {
        tell_trouble(sink, "no collector", &err);
        retry_later(sink);
        return false;
    }
    ipfix_writer_begin(sink->writer);
    if (!tell(sink) || !send_held(sink)) {
        return false;
    }
    sink->backoff_ns = BACKOFF_FIRST_NS;
    if (sink->peer.is_tcp) {
        log_info(sink->name, "connected", "collector=%s port=%s", sink->peer.address.host,
                 sink->peer.address.port_text);
    }
    return true;
}

/* ---- records ---- */

/* The record at `next`. False: it is to be offered again, for the connection has gone. */
static bool take_record(struct ipfix_sink *sink, const struct batch_entry *entry)
{
    const uint8_t *bytes = sink->batch->bytes + entry->offset;

    if (!codec_decode_flow(bytes, entry->full_length, &sink->record)) {
        counter_add(&sink->failed, 1); /* a fault of our own codec */
        return true;
    }
    if (sink->filter != NULL && !filter_matches_flow(sink->filter, &sink->record)) {
        counter_add(&sink->left_out, 1);
        return true;
    }
    enum ipfix_added added = ipfix_writer_add(sink->writer, &sink->record);

    while (added == IPFIX_FULL) {
        if (!send_message(sink)) {
            return false;
        }
        added = ipfix_writer_add(sink->writer, &sink->record);
    }
    if (added == IPFIX_LEFT_OUT) {
        counter_add(&sink->left_out, 1);
    } else if (sink->message_since_ns == 0) {
        sink->message_since_ns = clock_monotonic_ns();
    }
    return true;
}

/* All that has been handed over. False: the connection has gone. */
static bool take_batches(struct ipfix_sink *sink)
{
    while (!is_giving_up(sink)) {
        if (sink->batch == NULL) {
            sink->batch = ring_pop(sink->hand_over);
            sink->next = 0;
        }
        if (sink->batch == NULL) {
            return true;
        }
        while (sink->next < sink->batch->count) {
            const struct batch_entry *entry = &sink->batch->entries[sink->next];

            if (entry->stream == RECORD_FLOWS && !take_record(sink, entry)) {
                return false;
            }
            sink->next++;
        }
        batch_unref(sink->batch);
        sink->batch = NULL;
    }
    return true;
}

static void work(struct ipfix_sink *sink)
{
    const bool is_flushing = atomic_load_explicit(&sink->is_flushing, memory_order_relaxed);

    if (!connect_when_due(sink) || !take_batches(sink)) {
        return;
    }
    const uint64_t now_ns = clock_monotonic_ns();

    if (now_ns - sink->told_ns >= sink->settings->template_interval_ns) {
        if (sink->peer.is_tcp) {
            ipfix_writer_report(sink->writer); /* templates hold as long as the connection */
        } else {
            ipfix_writer_repeat(sink->writer);
        }
        (void)tell(sink);
    } else if (sink->message_since_ns != 0 &&
               (is_flushing || now_ns - sink->message_since_ns >= LINGER_NS)) {
        (void)send_message(sink);
    }
}

/* What never left, each record counted. */
static void give_up(struct ipfix_sink *sink)
{
    if (sink->peer.fd >= 0 && sink->message_since_ns != 0) {
        (void)send_message(sink);
    }
    counter_add(&sink->failed, owed(sink));
    do {
        if (sink->batch != NULL) {
            batch_unref(sink->batch);
        }
        sink->batch = ring_pop(sink->hand_over);
    } while (sink->batch != NULL);
    ipfix_peer_hang_up(&sink->peer);
}

static void *run(void *context)
{
    struct ipfix_sink *sink = context;

    (void)pthread_setname_np(pthread_self(), "ipfix");
    while (!atomic_load_explicit(&sink->is_stopping, memory_order_acquire)) {
        struct pollfd wait = {.fd = sink->event, .events = POLLIN};
        uint64_t events;

        (void)poll(&wait, 1, sink->message_since_ns != 0 ? BUSY_MS : IDLE_MS);
        (void)!read(sink->event, &events, sizeof(events));
        work(sink);
        if (sink->peer.fd < 0) { /* batches wait, and their wakes with them */
            (void)poll(NULL, 0, BUSY_MS);
        }
    }
    give_up(sink);
    return NULL;
}

/* ---- the table ---- */

static void wake_thread(struct ipfix_sink *sink)
{
    const uint64_t one = 1;

    (void)!write(sink->event, &one, sizeof(one)); /* EAGAIN: it is awake already */
}

static enum sink_verdict offer(void *state, struct record_batch *batch)
{
    struct ipfix_sink *sink = state;
    uint64_t wanted = 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        wanted += batch->entries[i].stream == RECORD_FLOWS;
    }
    if (wanted == 0) {
        return SINK_TAKEN;
    }
    batch_ref(batch);
    counter_add(&sink->offered, wanted); /* before the push: `owed` never counts below the truth */
    if (!ring_push(sink->hand_over, batch)) {
        counter_set(&sink->offered, counter_get(&sink->offered) - wanted);
        batch_unref(batch);
        return SINK_BUSY;
    }
    wake_thread(sink);
    return SINK_TAKEN;
}

static uint64_t flush(void *state, uint64_t deadline_ns)
{
    struct ipfix_sink *sink = state;

    atomic_store_explicit(&sink->is_flushing, true, memory_order_relaxed);
    wake_thread(sink);
    while (owed(sink) > 0 && clock_monotonic_ns() < deadline_ns) {
        (void)poll(NULL, 0, 2);
    }
    atomic_store_explicit(&sink->is_flushing, false, memory_order_relaxed);
    return owed(sink);
}

static void statistics(void *state, struct stats_sink *row)
{
    struct ipfix_sink *sink = state;

    row->connected = atomic_load_explicit(&sink->is_connected, memory_order_relaxed);
    row->sent = counter_get(&sink->sent);
    row->acked = row->sent; /* nothing more will be known */
    row->failed = counter_get(&sink->failed);
    row->unacked = owed(sink);
    (void)pthread_mutex_lock(&sink->error_lock);
    (void)snprintf(row->last_error, sizeof(row->last_error), "%s", sink->last_error);
    (void)pthread_mutex_unlock(&sink->error_lock);
}

static void free_sink(struct ipfix_sink *sink)
{
    ipfix_writer_free(sink->writer);
    filter_free(sink->filter);
    ring_free(sink->hand_over);
    if (sink->event >= 0) {
        (void)close(sink->event);
    }
    (void)pthread_mutex_destroy(&sink->error_lock);
    free(sink->held_bytes);
    free(sink);
}

static void close_sink(void *state)
{
    struct ipfix_sink *sink = state;

    atomic_store_explicit(&sink->give_up_ns, clock_monotonic_ns(), memory_order_relaxed);
    atomic_store_explicit(&sink->is_stopping, true, memory_order_release);
    wake_thread(sink);
    (void)pthread_join(sink->thread, NULL);
    if (counter_get(&sink->failed) > 0) {
        log_warn(sink->name, "records not delivered",
                 "sent=%" PRIu64 " failed=%" PRIu64 " reason=\"%s\"", counter_get(&sink->sent),
                 counter_get(&sink->failed), sink->last_error);
    }
    free_sink(sink);
}

static const struct sink_ops ops = {
    .when_full = SINK_DROPS,
    .offer = offer,
    .flush = flush,
    .statistics = statistics,
    .close = close_sink,
};

static uint32_t interface_index(const char *name)
{
    return if_nametoindex(name);
}

static int open_parts(struct ipfix_sink *sink, struct error *err)
{
    const struct ipfix_export_settings *from = sink->settings;
    const struct ipfix_settings settings = {.domain = (uint32_t)from->domain,
                                            .enterprise = (uint32_t)from->enterprise,
                                            .message_bytes_max = (uint32_t)from->message_bytes,
                                            .is_biflow = from->biflow,
                                            .interface_index = interface_index};

    sink->hand_over = ring_new(HAND_OVER_BATCHES);
    sink->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sink->held_bytes = malloc(settings.message_bytes_max);
    sink->writer = ipfix_writer_new(&settings, err);
    if (from->filter[0] != '\0') {
        sink->filter = filter_compile(from->filter, strlen(from->filter), err, NULL);
    }
    if (sink->hand_over == NULL || sink->event < 0 || sink->held_bytes == NULL ||
        sink->writer == NULL || (from->filter[0] != '\0' && sink->filter == NULL)) {
        return error_set(err, ENOMEM, "ipfix: no memory");
    }
    return 0;
}

static int start_thread(struct ipfix_sink *sink, struct error *err)
{
    const int code = thread_start(&sink->thread, run, sink);

    return code == 0 ? 0 : error_set(err, code, "ipfix: start a thread: %s", strerror(code));
}

int ipfix_sink_open(const struct ipfix_export_settings *settings, uint32_t index, struct sink *out,
                    struct error *err)
{
    if (ipfix_settings_check(settings, err) != 0) {
        return -err->code;
    }
    struct ipfix_sink *sink = calloc(1, sizeof(*sink));

    if (sink == NULL) {
        return error_set(err, ENOMEM, "ipfix: no memory");
    }
    if (index == 0) {
        (void)snprintf(sink->name, sizeof(sink->name), "ipfix");
    } else {
        (void)snprintf(sink->name, sizeof(sink->name), "ipfix:%u", index + 1);
    }
    sink->ops = ops;
    sink->ops.name = sink->name;
    sink->settings = settings;
    sink->backoff_ns = BACKOFF_FIRST_NS;
    sink->peer = (struct ipfix_peer){.is_tcp = strcmp(settings->transport, "tcp") == 0,
                                     .connect_timeout_ns = settings->connect_timeout_ns,
                                     .send_timeout_ns = settings->send_timeout_ns,
                                     .give_up_ns = &sink->give_up_ns,
                                     .fd = -1};
    (void)pthread_mutex_init(&sink->error_lock, NULL);
    const bool is_address =
        endpoint_read_peer(settings->collectors.items[index], &sink->peer.address);
    int result =
        is_address ? open_parts(sink, err) : error_set(err, EINVAL, "ipfix.collectors: no address");

    if (result == 0) {
        result = start_thread(sink, err);
    }
    if (result != 0) {
        free_sink(sink);
        return result;
    }
    *out = (struct sink){&sink->ops, sink};
    return 0;
}

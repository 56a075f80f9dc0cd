/* The live feed: a tick thread closes windows, makes each distinct frame once, sends it. Clients
 * that do not keep up get their ticks merged into the next frame. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "collector-ui/api/collector_status.h"
#include "collector-ui/api/live_private.h"

#define BODY_BYTES_MAX ((size_t)1000 << 10)

/* ---- sending ---- */

bool live_send(struct live_client *client, void (*write)(void *context, struct json_writer *out),
               void *context)
{
    size_t length = 0;
    char *const text = json_grown(write, context, &length);
    struct http_buffer *const buffer = text == NULL ? NULL : http_buffer_from(text, length);
    free(text);
    const bool is_sent = buffer != NULL && http_ws_send(client->ws, buffer) == HTTP_WS_TAKEN;
    http_buffer_unref(buffer);
    return is_sent;
}

static void write_dict(void *context, struct json_writer *out)
{
    const struct live_feed *const feed = context;
    live_dict_write(&feed->dict, out);
}

bool live_send_dict(struct live_client *client)
{
    if (client->dict_rev == client->feed->dict.rev) {
        return true;
    }
    if (!live_send(client, write_dict, client->feed)) {
        return false;
    }
    client->dict_rev = client->feed->dict.rev;
    return true;
}

struct resync {
    uint64_t from_seq, to_seq, from_ms, to_ms;
};

static void write_resync(void *context, struct json_writer *out)
{
    const struct resync *const r = context;
    json_object_begin(out);
    json_key(out, "t");
    json_text(out, "resync");
    json_key(out, "reason");
    json_text(out, "lag");
    json_key(out, "from_seq");
    json_u64(out, r->from_seq);
    json_key(out, "to_seq");
    json_u64(out, r->to_seq);
    json_key(out, "from_ms");
    json_u64(out, r->from_ms);
    json_key(out, "to_ms");
    json_u64(out, r->to_ms);
    json_object_end(out);
}

static double window_ms(const struct live_feed *feed, uint64_t after, uint64_t until)
{
    double sum = 0;
    for (uint64_t n = after + 1; n <= until; n++) {
        sum += feed->ticks[n % LIVE_TICKS].win_ms;
    }
    return sum;
}

void live_send_frame(struct live_client *client, uint64_t after, uint64_t until, const char *body,
                     size_t body_bytes)
{
    struct live_feed *const feed = client->feed;
    const double win_ms = window_ms(feed, after, until);
    const uint64_t per_frame = client->sub.ticks;
    const uint64_t merged = (until - after + per_frame - 1) / per_frame;
    char head[400];
    const int head_bytes = snprintf(
        head, sizeof head,
        "{\"t\":\"frame\",\"seq\":%llu,\"boot\":\"%s\",\"rev\":%u,\"ts_ms\":%llu,\"win_ms\":%.0f,"
        "\"merged\":%llu%s",
        (unsigned long long)client->seq + 1, feed->api->boot_id, feed->dict.rev,
        (unsigned long long)feed->ticks[until % LIVE_TICKS].ts_ms, win_ms < 1 ? 1 : win_ms,
        (unsigned long long)merged, body_bytes > 0 ? "," : "");
    struct http_buffer *const buffer = http_buffer_new((size_t)head_bytes + body_bytes + 1);
    if (buffer == NULL) {
        return;
    }
    memcpy(buffer->data, head, (size_t)head_bytes);
    memcpy(buffer->data + head_bytes, body, body_bytes);
    buffer->data[(size_t)head_bytes + body_bytes] = '}';
    if (live_send_dict(client) && http_ws_send(client->ws, buffer) == HTTP_WS_TAKEN) {
        client->seq++;
        client->tick_sent = until;
        client->sent_ns[client->seq % LIVE_SENT_MAX] = clock_monotonic_ns();
        atomic_fetch_add(&feed->api->live_frames, 1);
        if (merged > 1) {
            atomic_fetch_add(&feed->api->live_merged, 1);
        }
    }
    http_buffer_unref(buffer);
}

/* Frames of the last second do not count: a client acknowledges once a second. */
static bool is_behind(const struct live_client *client)
{
    const uint64_t now_ns = clock_monotonic_ns();
    unsigned late = 0;
    for (uint64_t seq = client->acked + 1; seq <= client->seq && late < 2; seq++) {
        if (client->seq - seq >= LIVE_SENT_MAX ||
            now_ns - client->sent_ns[seq % LIVE_SENT_MAX] > NS_PER_SEC + NS_PER_SEC / 10) {
            late++;
        }
    }
    return late >= 2;
}

uint32_t live_feed_clients(struct live_feed *feed, struct live_client_state *out, uint32_t max)
{
    const uint64_t now_ns = clock_monotonic_ns();

    pthread_mutex_lock(&feed->lock);
    const uint32_t total = feed->clients_count;

    for (uint32_t i = 0; i < total && i < max; i++) {
        const struct live_client *const client = feed->clients[i];
        const uint64_t unacked = client->seq - client->acked;

        out[i] = (struct live_client_state){
            .connected_ns = client->connected_ns,
            .interval_ns =
                client->is_subscribed ? client->sub.ticks * feed->api->settings.tick_ns : 0,
            .frames = client->seq,
            .unacked = unacked,
            .queued_bytes = http_ws_queued_bytes(client->ws),
            .is_behind = client->is_subscribed && is_behind(client)};
        if (unacked > 0) { /* what is no longer held is older still */
            const uint64_t oldest =
                unacked > LIVE_SENT_MAX ? client->seq - LIVE_SENT_MAX + 1 : client->acked + 1;

            out[i].lag_ns = now_ns - client->sent_ns[oldest % LIVE_SENT_MAX];
        }
        (void)snprintf(out[i].user, sizeof(out[i].user), "%s", http_ws_identity(client->ws));
    }
    pthread_mutex_unlock(&feed->lock);
    return total;
}

/* ---- frames, each distinct one made once ---- */

struct made_frame {
    const struct subscription *sub;
    uint64_t after;
    char *body;
    size_t bytes;
};

static bool subscription_equal(const struct subscription *a, const struct subscription *b)
{
    return a->totals == b->totals && a->by == b->by && a->sensors == b->sensors &&
           a->flows == b->flows && a->alerts == b->alerts &&
           (!a->by || (a->dim == b->dim && a->by_top == b->by_top)) &&
           (!a->flows || (a->sort == b->sort && a->flows_top == b->flows_top &&
                          strcmp(a->filter_text, b->filter_text) == 0));
}

/* Members without the braces around them: the head of each client's own frame goes before. */
static char *make_body(struct live_feed *feed, const struct subscription *sub, uint64_t after,
                       uint64_t until, size_t *bytes)
{
    struct json_writer out;
    for (size_t room = 32768; room <= BODY_BYTES_MAX * 2; room *= 4) {
        char *const text = malloc(room);
        if (text == NULL) {
            return NULL;
        }
        json_init(&out, text, room);
        json_object_begin(&out);
        live_frame_write(feed, sub, after, until, &out);
        json_object_end(&out);
        if (!out.overflow && out.length < BODY_BYTES_MAX) {
            *bytes = out.length - 2;
            memmove(text, text + 1, *bytes);
            return text;
        }
        free(text);
    }
    return NULL;
}

/* What the ring of ticks no longer has, the client is told to fetch; the frames that they would
 * have made are lost. False: it could not be told yet. */
static bool catch_up(struct live_client *client, uint64_t until)
{
    struct live_feed *const feed = client->feed;
    const uint64_t oldest = until >= LIVE_TICKS ? until - LIVE_TICKS + 1 : 0;
    if (client->tick_sent >= oldest) {
        return true;
    }
    const uint64_t ticks = oldest - client->tick_sent;
    const struct live_tick *const first = &feed->ticks[(oldest + 1) % LIVE_TICKS];
    struct resync resync = {client->seq, client->seq + 1,
                            first->ts_ms - (uint64_t)((double)(ticks + 1) * first->win_ms),
                            first->ts_ms};
    if (!live_send(client, write_resync, &resync)) {
        return false;
    }
    atomic_fetch_add(&feed->api->live_resyncs, 1);
    atomic_fetch_add(&feed->api->live_lost, (ticks + client->sub.ticks - 1) / client->sub.ticks);
    client->tick_sent = oldest;
    return true;
}

static void send_frames(struct live_feed *feed)
{
    const uint64_t until = feed->tick_number;
    struct made_frame *const made = calloc((size_t)feed->clients_count + 1, sizeof *made);
    uint32_t count = 0;
    for (uint32_t i = 0; made != NULL && i < feed->clients_count; i++) {
        struct live_client *const client = feed->clients[i];
        if (!client->is_subscribed || until - client->tick_sent < client->sub.ticks ||
            is_behind(client) || !catch_up(client, until)) {
            continue;
        }
        const uint64_t after = client->tick_sent;
        uint32_t at = 0;
        while (at < count &&
               (made[at].after != after || !subscription_equal(made[at].sub, &client->sub))) {
            at++;
        }
        if (at == count) {
            made[at] = (struct made_frame){&client->sub, after, NULL, 0};
            made[at].body = make_body(feed, &client->sub, after, until, &made[at].bytes);
            count++;
        }
        if (made[at].body != NULL) {
            live_send_frame(client, after, until, made[at].body, made[at].bytes);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        free(made[i].body);
    }
    free(made);
}

void live_first_frame(struct live_client *client)
{
    struct live_feed *const feed = client->feed;
    const uint64_t until = feed->tick_number;
    if (until == 0) {
        client->tick_sent = 0;
        return;
    }
    uint64_t after = until > client->sub.ticks ? until - client->sub.ticks : 0;
    if (until - after >= LIVE_TICKS) {
        after = until - LIVE_TICKS + 1;
    }
    client->tick_sent = until;
    size_t bytes = 0;
    char *const body = make_body(feed, &client->sub, after, until, &bytes);
    if (body != NULL) {
        live_send_frame(client, after, until, body, bytes);
    }
    free(body);
}

/* ---- the thread ---- */

void live_bye(struct http_ws *ws, const char *reason, uint16_t code)
{
    char text[100];
    const int length =
        snprintf(text, sizeof text, "{\"t\":\"bye\",\"reason\":\"%s\",\"retry_ms\":1000}", reason);
    struct http_buffer *const buffer = http_buffer_from(text, (size_t)length);
    if (buffer != NULL) {
        (void)http_ws_send(ws, buffer);
    }
    http_buffer_unref(buffer);
    http_ws_close(ws, code, reason);
}

/* Those whose login is over get no more. An open feed is a session in use. */
static void end_logins(struct live_feed *feed)
{
    access_refresh(feed->api->access); /* also while nobody asks: what is wrong with it is told */
    for (uint32_t i = 0; i < feed->clients_count; i++) {
        struct live_client *const client = feed->clients[i];
        if (!client->is_over && !access_holds(feed->api->access, client->grant.proof)) {
            client->is_over = true;
            client->is_subscribed = false;
            live_bye(client->ws, "login", 1008);
        }
    }
}

static void *feed_main(void *context)
{
    struct live_feed *const feed = context;
    const uint64_t tick_ns = feed->api->settings.tick_ns;
    uint64_t last_ns = clock_monotonic_ns();
    uint64_t due_ns = last_ns + tick_ns;
    pthread_mutex_lock(&feed->lock);
    while (!feed->is_stopping) {
        const struct timespec until = {(time_t)(due_ns / NS_PER_SEC), (long)(due_ns % NS_PER_SEC)};
        if (pthread_cond_timedwait(&feed->wake, &feed->lock, &until) != ETIMEDOUT) {
            continue;
        }
        pthread_mutex_unlock(&feed->lock);
        const uint64_t now_ns = clock_monotonic_ns();
        struct live_tick tick;
        const bool is_made = live_tick_make(feed, (double)(now_ns - last_ns) / 1e6, &tick);
        pthread_mutex_lock(&feed->lock);
        if (is_made) {
            last_ns = now_ns;
            live_tick_name(feed, &tick);
            tick.number = ++feed->tick_number;
            struct live_tick *const slot = &feed->ticks[tick.number % LIVE_TICKS];
            live_tick_fini(slot);
            *slot = tick;
            atomic_store(&feed->api->packets_received, tick.window->packets_received);
            atomic_store(&feed->api->cum_bytes, tick.window->cum_bytes);
            atomic_store(&feed->api->cum_packets, tick.window->cum_packets);
            atomic_store(&feed->api->cum_kernel, tick.window->cum_kernel);
            atomic_store(&feed->api->cum_interface, tick.window->cum_interface);
            atomic_store(&feed->api->cum_dispatch, tick.window->cum_dispatch);
            end_logins(feed);
            send_frames(feed);
        }
        due_ns += tick_ns;
        if (due_ns < now_ns) { /* the machine slept: do not catch up */
            due_ns = now_ns + tick_ns;
        }
    }
    pthread_mutex_unlock(&feed->lock);
    return NULL;
}

/* ---- life ---- */

struct live_feed *live_feed_new(struct api *api, struct error *err)
{
    struct live_feed *const feed = calloc(1, sizeof *feed);
    if (feed == NULL) {
        error_set(err, ENOMEM, "api: out of memory");
        return NULL;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&feed->lock, NULL);
    pthread_cond_init(&feed->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    feed->api = api;
    feed->dict.rev = 1;
    feed->dict.sensors = calloc(LIVE_DICT_SENSORS, sizeof *feed->dict.sensors);
    feed->clients = calloc(api->settings.clients_max, sizeof(struct live_client *));
    if (feed->dict.sensors == NULL || feed->clients == NULL) {
        live_feed_free(feed);
        error_set(err, ENOMEM, "api: out of memory");
        return NULL;
    }
    return feed;
}

void live_feed_start(struct live_feed *feed)
{
    feed->is_started = pthread_create(&feed->thread, NULL, feed_main, feed) == 0;
}

void live_feed_stop(struct live_feed *feed)
{
    pthread_mutex_lock(&feed->lock);
    feed->is_stopping = true;
    pthread_cond_broadcast(&feed->wake);
    for (uint32_t i = 0; i < feed->clients_count; i++) {
        feed->clients[i]->is_subscribed = false;
        live_bye(feed->clients[i]->ws, "shutdown", 1001);
    }
    pthread_mutex_unlock(&feed->lock);
    if (feed->is_started) {
        pthread_join(feed->thread, NULL);
        feed->is_started = false;
    }
}

void live_feed_free(struct live_feed *feed)
{
    if (feed == NULL) {
        return;
    }
    for (unsigned i = 0; i < LIVE_TICKS; i++) {
        live_tick_fini(&feed->ticks[i]);
    }
    free(feed->dict.sensors);
    free((void *)feed->clients);
    pthread_mutex_destroy(&feed->lock);
    pthread_cond_destroy(&feed->wake);
    free(feed);
}

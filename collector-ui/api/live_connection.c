/* Connections of the live feed, on the HTTP loop: what a client is told first, and its end. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/service/role.h"
#include "collector-ui/api/live_private.h"

const struct live_step live_steps[LIVE_STEPS] = {
    {1000, 86400}, {60000, UINT64_C(60) * 86400}, {3600000, UINT64_C(365) * 86400}};

/* How long the history goes back, in which steps. */
static void write_steps(struct json_writer *out)
{
    json_key(out, "history");
    json_array_begin(out);
    for (unsigned i = 0; i < LIVE_STEPS; i++) {
        json_object_begin(out);
        json_key(out, "step_ms");
        json_u64(out, live_steps[i].step_ms);
        json_key(out, "span_s");
        json_u64(out, live_steps[i].span_s);
        json_object_end(out);
    }
    json_array_end(out);
}

/* What of it there is; null: nothing yet. */
static void write_span(struct api *api, struct json_writer *out)
{
    uint64_t from_ns = 0;
    uint64_t to_ns = 0;

    json_key(out, "data");
    if (history_span(api->history, &from_ns, &to_ns)) {
        json_object_begin(out);
        json_key(out, "from_ms");
        rest_count(out, from_ns / NS_PER_MS);
        json_key(out, "to_ms");
        rest_count(out, to_ns / NS_PER_MS + 1); /* half open */
        json_object_end(out);
    } else {
        json_null(out);
    }
}

/* What the client may do here. */
static void write_caps(const struct live_client *client, struct json_writer *out)
{
    struct api *const api = client->feed->api;

    json_key(out, "caps");
    json_object_begin(out);
    /* As at the door: of whoever has shown who they are. */
    json_key(out, "capture");
    json_bool(out, api->fleet != NULL && (client->grant.rights & RIGHT_PACKETS) != 0 &&
                       http_ws_identity(client->ws)[0] != '\0');
    json_key(out, "packets");
    json_bool(out, api->settings.sample_rate > 0 && (client->grant.rights & RIGHT_PACKETS) != 0);
    json_key(out, "ack");
    json_bool(out, api->fleet != NULL && atomic_load(&api->triage) != NULL &&
                       (client->grant.rights & RIGHT_TRIAGE) != 0);
    json_key(out, "filtered_series");
    json_bool(out, true);
    json_object_end(out);
}

static void write_hello(void *context, struct json_writer *out)
{
    const struct live_client *const client = context;
    struct api *const api = client->feed->api;
    json_object_begin(out);
    json_key(out, "t");
    json_text(out, "hello");
    json_key(out, "v");
    json_u64(out, 1);
    json_key(out, "boot");
    json_text(out, api->boot_id);
    json_key(out, "server");
    json_text(out, api->host_name);
    json_key(out, "version");
    json_text(out, NETSCOPE_VERSION);
    json_key(out, "now_ms");
    json_u64(out, clock_wall_ns() / NS_PER_MS);
    json_key(out, "tick_ms");
    json_u64(out, api->settings.tick_ns / NS_PER_MS);
    json_key(out, "min_tick_ms");
    json_u64(out, api->settings.tick_ns / NS_PER_MS);
    write_steps(out);
    write_span(api, out);
    write_caps(client, out);
    json_key(out, "user");
    json_text(out, http_ws_identity(client->ws));
    json_key(out, "dict_rev");
    json_u64(out, client->feed->dict.rev);
    json_object_end(out);
}

static bool on_open(struct http_ws *ws, void *context, void **connection)
{
    struct api *const api = context;
    struct live_feed *const feed = api->feed;
    *connection = NULL;
    pthread_mutex_lock(&feed->lock);
    struct live_client *const client =
        feed->clients_count < api->settings.clients_max ? calloc(1, sizeof *client) : NULL;
    if (client == NULL) {
        pthread_mutex_unlock(&feed->lock);
        atomic_fetch_add(&api->live_refused, 1);
        live_bye(ws, "limit", 1013);
        return true;
    }
    client->ws = http_ws_ref(ws);
    client->feed = feed;
    client->grant = http_ws_grant(ws);
    client->connected_ns = clock_wall_ns();
    client->dict_rev = feed->dict.rev + 1; /* none yet */
    feed->clients[feed->clients_count++] = client;
    *connection = client;
    (void)live_send(client, write_hello, client);
    (void)live_send_dict(client);
    pthread_mutex_unlock(&feed->lock);
    return true;
}

static void on_message(struct http_ws *ws, void *connection, const uint8_t *data, size_t bytes,
                       bool is_text)
{
    struct live_client *const client = connection;
    if (client == NULL) {
        return;
    }
    if (!is_text) {
        live_bye(ws, "protocol", 1003);
        return;
    }
    pthread_mutex_lock(&client->feed->lock);
    if (!client->is_over) {
        live_message(client, (const char *)data, bytes);
    }
    pthread_mutex_unlock(&client->feed->lock);
}

static void on_close(struct http_ws *ws, void *connection)
{
    struct live_client *const client = connection;
    (void)ws;
    if (client == NULL) {
        return;
    }
    struct live_feed *const feed = client->feed;
    pthread_mutex_lock(&feed->lock);
    for (uint32_t i = 0; i < feed->clients_count; i++) {
        if (feed->clients[i] == client) {
            feed->clients[i] = feed->clients[--feed->clients_count];
            break;
        }
    }
    pthread_mutex_unlock(&feed->lock);
    http_ws_unref(client->ws);
    filter_free(client->sub.filter);
    free(client);
}

const struct http_ws_protocol live_protocols[] = {
    {"live.v1.json", "/v1/live", on_open, on_message, on_close, NULL},
    {NULL, NULL, NULL, NULL, NULL, NULL}};

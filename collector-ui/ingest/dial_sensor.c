/* One dialed sensor: its life, turn by turn, and when it is tried again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/ingest/dial_private.h"

#define LIVED_NS (10 * NS_PER_SEC)

/* ---- life ---- */

static bool copy_text(struct dial *dial, uint32_t number, const char **text)
{
    dial->texts[number] = strdup(*text);
    *text = dial->texts[number];
    return *text != NULL;
}

static bool copy_settings(struct dial *dial, const struct dial_settings *settings)
{
    struct dial_settings *s = &dial->settings;

    *s = *settings;
    for (uint32_t i = 0; i < settings->streams.count; i++) {
        if (dial->streams_count < DIAL_STREAMS_MAX &&
            dial_stream_of(settings->streams.items[i], &dial->streams[dial->streams_count])) {
            dial->streams_count++;
        }
    }
    s->streams = (struct config_list){0}; /* theirs */
    return copy_text(dial, 0, &s->address) && copy_text(dial, 1, &s->sensor_id) &&
           copy_text(dial, 2, &s->ca_file) && copy_text(dial, 3, &s->cert_file) &&
           copy_text(dial, 4, &s->key_file) && copy_text(dial, 5, &s->server_name) &&
           copy_text(dial, 6, &s->token_file);
}

static void settled(void *context)
{
    struct dial_source *source = context;

    (void)pthread_mutex_lock(&source->lock);
    source->has_news = true;
    (void)pthread_cond_signal(&source->wake);
    (void)pthread_mutex_unlock(&source->lock);
}

struct dial *dial_new(struct dial_source *source, const char *name,
                      const struct dial_settings *settings, struct error *err)
{
    struct dial *dial = calloc(1, sizeof(*dial));

    if (dial == NULL || !copy_settings(dial, settings)) {
        (void)error_set(err, ENOMEM, "dial.%s: no memory", name);
        dial_free(dial);
        return NULL;
    }
    dial->source = source;
    for (uint32_t i = 0; i < DIAL_CALLS_MAX; i++) {
        dial->calls[i].dial = dial;
    }
    (void)snprintf(dial->counts.name, sizeof(dial->counts.name), "%s", name);
    (void)snprintf(dial->counts.address, sizeof(dial->counts.address), "%s", settings->address);
    dial->shown = dial->counts;
    dial->way = ingest_dial_new(source->ingest, settled, source, err);
    if (dial->way == NULL) {
        dial_free(dial);
        return NULL;
    }
    return dial;
}

bool dial_is_like(const struct dial *dial, const struct dial *other)
{
    const struct dial_settings *a = &dial->settings;
    const struct dial_settings *b = &other->settings;

    for (uint32_t i = 0; i < DIAL_TEXTS; i++) {
        if (strcmp(dial->texts[i], other->texts[i]) != 0) {
            return false;
        }
    }
    return strcmp(dial->counts.name, other->counts.name) == 0 && a->is_tls == b->is_tls &&
           a->insecure == b->insecure && dial->streams_count == other->streams_count &&
           memcmp(dial->streams, other->streams, sizeof(dial->streams)) == 0 &&
           a->reconnect_min_ns == b->reconnect_min_ns &&
           a->reconnect_max_ns == b->reconnect_max_ns &&
           a->keepalive_interval_ns == b->keepalive_interval_ns &&
           a->keepalive_timeout_ns == b->keepalive_timeout_ns &&
           a->in_flight_max == b->in_flight_max;
}

void dial_free(struct dial *dial)
{
    if (dial == NULL) {
        return;
    }
    for (uint32_t i = 0; dial->source != NULL && i < DIAL_CALLS_MAX; i++) {
        dial_call_clear(&dial->calls[i]);
    }
    rpc_channel_free(dial->channel);
    ingest_dial_free(dial->way);
    for (uint32_t i = 0; i < DIAL_TEXTS; i++) {
        free(dial->texts[i]);
    }
    free(dial);
}

/* ---- pauses ---- */

static uint64_t jittered(uint64_t pause_ns)
{
    const uint64_t spread_ns = pause_ns / 2;

    return pause_ns - spread_ns / 2 + hash_key_random().a % (spread_ns + 1);
}

static bool is_refusal(enum rpc_status status)
{
    return status == RPC_UNAUTHENTICATED || status == RPC_PERMISSION_DENIED ||
           status == RPC_INVALID_ARGUMENT || status == RPC_UNIMPLEMENTED;
}

static void set_pause(struct dial *dial, bool is_longest, uint64_t now_ns)
{
    const struct dial_settings *s = &dial->settings;
    uint64_t pause_ns = dial->backoff_ns + dial->backoff_ns / 2;

    pause_ns = pause_ns < s->reconnect_min_ns ? s->reconnect_min_ns : pause_ns;
    pause_ns = is_longest || pause_ns > s->reconnect_max_ns ? s->reconnect_max_ns : pause_ns;
    dial->backoff_ns = pause_ns;
    pause_ns = jittered(pause_ns);
    dial->due_ns = now_ns + (pause_ns < dial->retry_ns ? dial->retry_ns : pause_ns);
}

void dial_postpone(struct dial *dial, const char *reason, uint64_t now_ns)
{
    dial->state = DIAL_WAITING;
    set_pause(dial, true, now_ns);
    dial_tell(dial, "a sensor cannot be dialed", reason, now_ns);
}

/* ---- ending ---- */

static void note_end(struct dial *dial, struct dial_call *call)
{
    if (dial->status == RPC_OK && dial->reason[0] == '\0') { /* the first that ended says why */
        dial->status = call->status;
        dial->retry_ns = call->retry_ns;
        (void)snprintf(dial->reason, sizeof(dial->reason), "%s", call->reason);
    }
}

void dial_end(struct dial *dial)
{
    dial->state = DIAL_ENDING;
    for (uint32_t i = 0; i < DIAL_CALLS_MAX; i++) {
        struct dial_call *call = &dial->calls[i];

        if (call->call == NULL) {
            continue;
        }
        if (dial_call_is_over(call)) {
            note_end(dial, call);
        } else {
            rpc_cancel(call->call, RPC_CANCELLED, "the collector ends it");
        }
    }
}

static void tell_end(struct dial *dial, uint64_t now_ns)
{
    char reason[640];

    if (dial->next_state == DIAL_PASSING) {
        dial_tell_passing(dial);
    }
    if (dial->next_state == DIAL_PASSING || dial->is_leaving) {
        return;
    }
    if (dial->complaint[0] != '\0') {
        (void)snprintf(reason, sizeof(reason), "%s", dial->complaint);
    } else if (dial->status == RPC_OK) {
        (void)snprintf(reason, sizeof(reason), "the sensor ended the stream");
    } else {
        dial_explain(dial, reason, sizeof(reason));
    }
    dial_tell(dial, "a dialed sensor does not report", reason, now_ns);
}

/* All calls are over. */
static void rest(struct dial *dial, uint64_t now_ns)
{
    const bool was_streaming = dial->has_info && dial->calls[1].call != NULL;

    for (uint32_t i = 0; i < DIAL_CALLS_MAX; i++) {
        dial_call_clear(&dial->calls[i]);
    }
    if (was_streaming && now_ns - dial->began_ns >= LIVED_NS) {
        ingest_dial_met(dial->way);
        dial->backoff_ns = 0;
    }
    ingest_dial_bye(dial->way, dial->is_for_good);
    dial->counts.lost_connections += was_streaming;
    dial->state = dial->next_state;
    set_pause(dial, dial->next_state == DIAL_PASSING || is_refusal(dial->status), now_ns);
    tell_end(dial, now_ns);
}

static void step_asking(struct dial *dial)
{
    struct dial_call *call = &dial->calls[0];
    const bool is_over = dial_call_is_over(call);
    size_t length;
    uint8_t *message = dial_call_message(call, &length);

    if (message != NULL) {
        dial_take_info(dial, message, length);
        free(message);
    }
    if (!is_over) {
        return;
    }
    if (dial->has_info && call->status == RPC_OK) {
        dial_begin(dial);
    } else {
        dial->has_info = false;
        dial_end(dial);
    }
}

/* What has come of one stream; the next message where there is room for it. False: it must end. */
static bool step_stream(struct dial *dial, struct dial_call *call)
{
    size_t length;
    uint8_t *message = dial_call_message(call, &length);

    if (message != NULL) {
        const bool is_good = dial_take_message(dial, call->stream, message, length);

        free(message);
        if (!is_good) {
            return false;
        }
        call->is_held = true;
    }
    if (call->is_held && ingest_dial_waiting(dial->way) < dial->settings.in_flight_max) {
        call->is_held = false;
        rpc_read_more(call->call);
    }
    return true;
}

static void step_streaming(struct dial *dial)
{
    if (ingest_dial_is_void(dial->way)) {
        (void)snprintf(dial->complaint, sizeof(dial->complaint),
                       "the collector's log took nothing: the sensor is asked again");
        dial_end(dial);
        return;
    }
    for (uint32_t i = 1; i <= dial->streams_count; i++) {
        struct dial_call *call = &dial->calls[i];
        const bool is_over = dial_call_is_over(call); /* before its last message is looked for */

        if (!step_stream(dial, call) || is_over) {
            dial_end(dial);
            return;
        }
    }
}

/* ---- turns ---- */

bool dial_is_idle(const struct dial *dial)
{
    return dial->state == DIAL_WAITING || dial->state == DIAL_PASSING;
}

static bool are_all_over(struct dial *dial)
{
    for (uint32_t i = 0; i < DIAL_CALLS_MAX; i++) {
        if (dial->calls[i].call != NULL && !dial_call_is_over(&dial->calls[i])) {
            return false;
        }
    }
    return true;
}

void dial_step(struct dial *dial, uint64_t now_ns)
{
    if (dial_is_idle(dial)) {
        if (now_ns >= dial->due_ns && !dial->is_leaving) {
            dial_ask(dial, now_ns);
        }
    } else if (dial->state == DIAL_ASKING) {
        step_asking(dial);
    } else if (dial->state == DIAL_STREAMING) {
        step_streaming(dial);
    }
    if (dial->state == DIAL_ENDING && are_all_over(dial)) {
        rest(dial, now_ns);
    }
}

void dial_leave(struct dial *dial, bool is_for_good)
{
    dial->is_leaving = true;
    dial->is_for_good = is_for_good;
    if (!dial_is_idle(dial) && dial->state != DIAL_ENDING) {
        dial_end(dial);
    }
}

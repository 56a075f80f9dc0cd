/* What comes back on the call to the collector. On gRPC's thread, which only notes it: all else is
 * the sink's thread's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/export/collector_sink_private.h"

#define QUEUE_MESSAGES_MAX 128
#define QUEUE_BYTES_MAX    ((size_t)8 << 20)
#define RETRY_MAX_NS       (UINT64_C(3600) * NS_PER_SEC)

static void note_ack(struct collector_news *news, const struct ingest_position *ack)
{
    for (uint32_t i = news->acks_count; i > 0; i--) {
        struct ingest_position *known = &news->acks[i - 1];

        if (known->stream == ack->stream && strcmp(known->boot_id, ack->boot_id) == 0) {
            known->next_seq = known->next_seq < ack->next_seq ? ack->next_seq : known->next_seq;
            return;
        }
    }
    if (news->acks_count == COLLECTOR_ACKS_MAX) {
        news->complaint = "it acknowledges more streams than there can be";
        return;
    }
    news->acks[news->acks_count++] = *ack;
}

static void note_throttle(struct collector_news *news, const struct ingest_throttle *throttle)
{
    news->throttles++;
    if (throttle->stream < RECORD_STREAM_COUNT) {
        news->has_rate[throttle->stream] = true;
        news->rates[throttle->stream] = throttle->max_rate;
    }
}

static void note_command(struct collector_news *news, const struct ingest_command *command)
{
    struct collector_command *note =
        news->commands_count < COLLECTOR_COMMANDS_MAX ? malloc(sizeof(*note)) : NULL;

    if (note == NULL) {
        news->complaint = "it sends more commands than can be taken";
        return;
    }
    note->command = *command;
    note->next = news->commands;
    news->commands = note;
    news->commands_count++;
}

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct collector_sink *sink = rpc_user_data(call);
    struct collector_news *news = &sink->news;
    struct ingest_response response;
    const bool is_good = ingest_decode_response(bytes, length, &response);

    (void)pthread_mutex_lock(&sink->lock);
    sink->link.heard_ns = clock_monotonic_ns();
    if (!is_good) {
        news->complaint = "it sent what is no ConnectResponse";
    } else if (response.kind == INGEST_WELCOME) {
        news->has_welcome = true;
        news->welcome = response.welcome;
    } else if (response.kind == INGEST_ACK) {
        note_ack(news, &response.ack);
    } else if (response.kind == INGEST_PROBE) {
        news->has_probe = true;
        news->probe = response.probe;
        news->probe_wall_ns = clock_wall_ns();
        news->probe_monotonic_ns = clock_monotonic_ns();
    } else if (response.kind == INGEST_THROTTLE) {
        note_throttle(news, &response.throttle);
    } else if (response.kind == INGEST_REDIRECT) {
        news->has_redirect = true;
        news->redirect = response.redirect;
    } else if (response.kind == INGEST_CONFIG_OFFER && sink->on_offer != NULL) {
        collector_config_note(news, &response.offer);
    } else if (response.kind == INGEST_COMMAND) {
        note_command(news, &response.command);
    } /* else what this version does not know */
    sink->has_news = true;
    (void)pthread_cond_signal(&sink->wake);
    (void)pthread_mutex_unlock(&sink->lock);
}

static void on_writable(struct rpc_call *call)
{
    struct collector_sink *sink = rpc_user_data(call);

    (void)pthread_mutex_lock(&sink->lock);
    sink->news.is_writable = true;
    sink->has_news = true;
    (void)pthread_cond_signal(&sink->wake);
    (void)pthread_mutex_unlock(&sink->lock);
}

static void on_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct collector_sink *sink = rpc_user_data(call);
    const uint64_t retry_ns = ingest_retry_delay(result->details, result->details_bytes);

    (void)pthread_mutex_lock(&sink->lock);
    sink->news.is_over = true;
    sink->news.status = result->status;
    sink->news.retry_ns = retry_ns < RETRY_MAX_NS ? retry_ns : RETRY_MAX_NS;
    (void)snprintf(sink->news.message, sizeof(sink->news.message), "%s", result->message);
    sink->has_news = true;
    (void)pthread_cond_signal(&sink->wake);
    (void)pthread_mutex_unlock(&sink->lock); /* the sink may be gone from here on */
}

void collector_sink_methods(struct collector_sink *sink)
{
    sink->method = (struct rpc_method){
        .path = INGEST_CONNECT_PATH,
        .on_message = on_message,
        .on_writable = on_writable,
        .on_done = on_done,
        .queue = {.messages_max = QUEUE_MESSAGES_MAX,
                  .bytes_max = QUEUE_BYTES_MAX,
                  .when_full = RPC_REJECT},
    };
}

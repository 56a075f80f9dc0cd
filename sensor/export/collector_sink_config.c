/* Settings that the collector offers: handed to the program's own part, whose answer goes back. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/export/collector_sink_private.h"

#define OFFER_BYTES_MAX ((size_t)256 << 10)

void collector_config_note(struct collector_news *news, const struct ingest_config_offer *offer)
{
    static struct log_limit limit;
    struct collector_offer *copy =
        offer->yaml_bytes <= OFFER_BYTES_MAX ? malloc(sizeof(*copy) + offer->yaml_bytes + 1) : NULL;

    if (copy == NULL) {
        if (log_allowed(&limit, NS_PER_SEC, NULL)) {
            log_warn("config", "the collector offers more settings than there is room for: ignored",
                     "bytes=%zu bytes_max=%zu", offer->yaml_bytes, OFFER_BYTES_MAX);
        }
        return;
    }
    copy->offer = *offer;
    memcpy(copy->bytes, offer->yaml, offer->yaml_bytes);
    copy->bytes[offer->yaml_bytes] = '\0';
    copy->offer.yaml = copy->bytes;
    free(news->offer);
    news->offer = copy;
}

void collector_config_linked(struct collector_sink *sink, uint64_t welcomed_ns)
{
    (void)pthread_mutex_lock(&sink->lock);
    sink->link.welcomed_ns = welcomed_ns;
    sink->is_config_due = welcomed_ns != 0 && sink->has_config;
    sink->is_asked = false;
    (void)pthread_mutex_unlock(&sink->lock);
}

void collector_config_take(struct collector_sink *sink, struct collector_news *news)
{
    if (news->offer != NULL) {
        sink->on_offer(sink->context, &news->offer->offer);
        free(news->offer);
        news->offer = NULL;
    }
}

size_t collector_config_due(struct collector_sink *sink, uint8_t *out, size_t capacity,
                            bool *is_asked)
{
    (void)pthread_mutex_lock(&sink->lock);
    const size_t length =
        sink->is_config_due ? ingest_encode_config_status(&sink->config, out, capacity) : 0;

    sink->is_config_due = false;
    *is_asked = sink->is_asked;
    sink->is_asked = false;
    (void)pthread_mutex_unlock(&sink->lock);
    return length;
}

void collector_config_unsent(struct collector_sink *sink)
{
    (void)pthread_mutex_lock(&sink->lock);
    sink->is_config_due = true;
    (void)pthread_mutex_unlock(&sink->lock);
}

void collector_sink_tell_config(void *state, const struct ingest_config_status *status)
{
    struct collector_sink *sink = state;

    (void)pthread_mutex_lock(&sink->lock);
    sink->config = *status;
    sink->has_config = true;
    sink->is_config_due = sink->link.welcomed_ns != 0;
    sink->has_news = true;
    (void)pthread_cond_signal(&sink->wake);
    (void)pthread_mutex_unlock(&sink->lock);
}

void collector_sink_link(void *state, struct collector_link *out)
{
    struct collector_sink *sink = state;

    (void)pthread_mutex_lock(&sink->lock);
    *out = sink->link;
    (void)pthread_mutex_unlock(&sink->lock);
}

void collector_sink_ask(void *state)
{
    struct collector_sink *sink = state;

    (void)pthread_mutex_lock(&sink->lock);
    sink->is_asked = true;
    sink->has_news = true;
    (void)pthread_cond_signal(&sink->wake);
    (void)pthread_mutex_unlock(&sink->lock);
}

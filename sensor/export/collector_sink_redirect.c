/* Another collector, because the one that is there asks for it: Redirect. The stream ends in order
 * first: what is on its way is acknowledged, so that no record is given to both. By the sink's
 * thread. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/domain/domain.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "sensor/export/collector_sink_private.h"

#define CHAIN_MAX       4                 /* moves in a row */
#define CHAIN_NS        (60 * NS_PER_SEC) /* a stream that lived so long begins a new row */
#define FAILURES_MAX    3
#define AVOIDED_NS      (300 * NS_PER_SEC)
#define GOODBYE_WAIT_NS (10 * NS_PER_SEC)
#define MOVE_PAUSE_NS   (500 * NS_PER_MS) /* jittered: a fleet moves at once */

const char *collector_redirect_address(const struct collector_sink *sink)
{
    return sink->redirect.address[0] != '\0' ? sink->redirect.address : sink->settings->address;
}

/* ---- may we ---- */

/* Both below one domain that somebody has registered. */
static bool is_same_domain(const char *a, const char *b)
{
    const size_t at_a = domain_registered(a, strlen(a));
    const size_t at_b = domain_registered(b, strlen(b));
    struct ip_address ip;

    return at_a > 0 && at_b > 0 && !address_parse(a, strlen(a), &ip) &&
           !address_parse(b, strlen(b), &ip) && strcasecmp(a + at_a, b + at_b) == 0;
}

static bool is_listed(const struct config_list *hosts, const char *host)
{
    const size_t length = strlen(host);

    for (uint32_t i = 0; i < hosts->count; i++) {
        const char *item = hosts->items[i];
        const size_t item_length = strlen(item);
        const bool is_domain = item[0] == '.' && length > item_length;

        if (strcasecmp(item, is_domain ? host + length - item_length : host) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_near(const struct collector_settings *s, const char *address, const char *host)
{
    struct endpoint own;

    if (endpoint_is_local(s->address)) {
        return endpoint_is_local(address);
    }
    return endpoint_read_peer(s->address, &own) &&
           (strcasecmp(own.host, host) == 0 || is_same_domain(own.host, host));
}

const char *collector_redirect_forbidden(const struct collector_settings *s, const char *address)
{
    struct endpoint to;

    if (!endpoint_read_peer(address, &to)) {
        return "it is no host:port";
    }
    if (strcmp(address, s->address) == 0) {
        return NULL;
    }
    if (strcmp(s->follow_redirects, "off") == 0) {
        return "collector.follow_redirects is off";
    }
    if (strcmp(s->follow_redirects, "any") != 0 && !is_near(s, address, to.host) &&
        !is_listed(&s->redirect_hosts, to.host)) {
        return "it is neither of the same domain nor one of collector.redirect_hosts";
    }
    if (s->ca[0] == '\0' && !s->insecure && !endpoint_is_local(address)) {
        return "it is not loopback and would be plaintext (collector.ca is not set)";
    }
    return NULL;
}

/* NULL, or why it is not followed. */
static const char *judge(const struct collector_sink *sink, const char *address, uint64_t now_ns)
{
    const struct collector_redirect *redirect = &sink->redirect;
    const char *reason = collector_redirect_forbidden(sink->settings, address);

    if (reason != NULL) {
        return reason;
    }
    if (strcmp(address, collector_redirect_address(sink)) == 0) {
        return "the stream is there already";
    }
    if (strcmp(address, redirect->avoided) == 0 && now_ns < redirect->avoided_until_ns) {
        return "it failed a short time ago";
    }
    if (redirect->chain >= CHAIN_MAX) {
        return "there were too many moves in a row";
    }
    return NULL;
}

static void refuse(struct collector_sink *sink, const char *address, const char *reason)
{
    static struct log_limit limit;
    char quoted[4 * INGEST_ADDRESS_BYTES], words[128];

    sink->redirect.refused++;
    if (log_allowed(&limit, NS_PER_SEC, NULL)) {
        log_warn("collector", "the collector sends us elsewhere: not followed",
                 "address=%s wanted=%s reason=%s", collector_redirect_address(sink),
                 log_quote(address, quoted, sizeof(quoted)),
                 log_quote(reason, words, sizeof(words)));
    }
}

void collector_redirect_take(struct collector_sink *sink, const char *address, uint64_t now_ns)
{
    struct collector_redirect *redirect = &sink->redirect;

    if (sink->is_goodbye_sent) {
        return;
    }
    if (sink->is_welcomed && now_ns - redirect->welcomed_ns >= CHAIN_NS) {
        redirect->chain = 0;
    }
    const char *reason = judge(sink, address, now_ns);

    if (reason != NULL) {
        refuse(sink, address, reason);
        return;
    }
    if (strcmp(redirect->wanted, address) != 0) {
        log_info("collector", "the collector sends us elsewhere: leaving once it has acknowledged",
                 "address=%s wanted=%s", collector_redirect_address(sink), address);
        (void)snprintf(redirect->wanted, sizeof(redirect->wanted), "%s", address);
    }
}

/* ---- leaving ---- */

bool collector_redirect_is_leaving(const struct collector_sink *sink)
{
    return sink->redirect.wanted[0] != '\0';
}

bool collector_redirect_is_ready(struct collector_sink *sink, uint64_t now_ns)
{
    if (!collector_redirect_is_leaving(sink) || sink->is_full) {
        return false;
    }
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        if (sink->lanes[i].window_count > 0) {
            return false;
        }
    }
    sink->redirect.goodbye_ns = now_ns;
    return true;
}

void collector_redirect_watch(struct collector_sink *sink, uint64_t now_ns)
{
    if (sink->call != NULL && sink->is_goodbye_sent && collector_redirect_is_leaving(sink) &&
        now_ns - sink->redirect.goodbye_ns > GOODBYE_WAIT_NS) {
        sink->redirect.goodbye_ns = now_ns;
        rpc_cancel(sink->call, RPC_CANCELLED, "the collector does not end the stream");
    }
}

/* ---- moving ---- */

/* The next call goes to `address`; what the channel before had goes on to its end. */
static void move(struct collector_sink *sink, const char *address, uint64_t now_ns)
{
    struct error err = {0};
    struct rpc_channel *channel = collector_sink_channel(sink, address, &err);
    const bool is_ours = strcmp(address, sink->settings->address) == 0;

    sink->dial_at_ns = now_ns + collector_sink_jittered(MOVE_PAUSE_NS);
    sink->backoff_ns = 0;
    if (channel == NULL) { /* files of the certificate cannot be read now */
        refuse(sink, address, err.message);
        return;
    }
    rpc_channel_free(sink->channel);
    sink->channel = channel;
    (void)snprintf(sink->redirect.address, sizeof(sink->redirect.address), "%s",
                   is_ours ? "" : address);
    sink->redirect.failures = 0;
    for (uint32_t i = 0; i < sink->boots.count; i++) {
        sink->boots.at[i].has_moved = true;
    }
}

/* The other address does not take us: back to that of the settings. */
static void fall_back(struct collector_sink *sink, const struct collector_news *news,
                      uint64_t now_ns)
{
    struct collector_redirect *redirect = &sink->redirect;
    char quoted[1024];

    log_warn("collector", "the collector we were sent to does not take us: back to the one before",
             "address=%s back_to=%s status=%s reason=%s", redirect->address,
             sink->settings->address, rpc_status_name(news->status),
             log_quote(news->message, quoted, sizeof(quoted)));
    memcpy(redirect->avoided, redirect->address, sizeof(redirect->avoided));
    redirect->avoided_until_ns = now_ns + AVOIDED_NS;
    move(sink, sink->settings->address, now_ns);
}

bool collector_redirect_ended(struct collector_sink *sink, const struct collector_news *news,
                              uint64_t now_ns)
{
    struct collector_redirect *redirect = &sink->redirect;
    char wanted[INGEST_ADDRESS_BYTES];

    memcpy(wanted, redirect->wanted, sizeof(wanted));
    redirect->wanted[0] = '\0'; /* where it did not end in order, the next hello is told again */
    if (wanted[0] != '\0' && sink->is_goodbye_sent) {
        log_info("collector", "going to another collector", "from=%s to=%s",
                 collector_redirect_address(sink), wanted);
        redirect->chain++;
        redirect->followed++;
        move(sink, wanted, now_ns);
        return true;
    }
    if (redirect->address[0] == '\0' || sink->is_welcomed) {
        return false;
    }
    redirect->failures += collector_sink_is_refusal(news->status) ? FAILURES_MAX : 1;
    if (redirect->failures < FAILURES_MAX) {
        return false;
    }
    fall_back(sink, news, now_ns);
    return true;
}

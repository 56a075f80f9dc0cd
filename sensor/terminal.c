#include "sensor/terminal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/wire/packet.h"

#define KEPT_MAX 512 /* flows remembered between two lines */

struct kept_flow {
    struct stats_top_flow flow; /* texts are not kept */
    uint64_t bytes, packets;    /* since the last line */
};

struct terminal {
    FILE *out;
    pthread_mutex_t lock; /* of what follows */
    struct kept_flow kept[KEPT_MAX];
    uint32_t kept_count, top_flows;
    /* At the last line. */
    uint64_t then_ns;
    struct pipeline_totals then;
};

struct terminal *terminal_new(FILE *out, uint32_t top_flows, struct error *err)
{
    struct terminal *terminal = calloc(1, sizeof(*terminal));

    if (terminal == NULL) {
        error_set(err, ENOMEM, "terminal: no memory");
        return NULL;
    }
    terminal->out = out;
    terminal->top_flows = top_flows;
    terminal->then_ns = clock_monotonic_ns();
    (void)pthread_mutex_init(&terminal->lock, NULL);
    return terminal;
}

void terminal_free(struct terminal *terminal)
{
    if (terminal != NULL) {
        (void)pthread_mutex_destroy(&terminal->lock);
        free(terminal);
    }
}

void terminal_line(struct terminal *terminal, const char *text, uint32_t length)
{
    (void)fwrite(text, 1, length, terminal->out);
    (void)putc('\n', terminal->out);
}

void terminal_alert(struct terminal *terminal, const struct alert_record *alert)
{
    const char *state = alert->state == ALERT_OPEN     ? ""
                        : alert->state == ALERT_UPDATE ? "update: "
                                                       : "closed: ";

    (void)fprintf(terminal->out, "[alert] %s%s\n", state, alert->description);
    (void)fflush(terminal->out);
}

void terminal_second(struct terminal *terminal, const struct stats_record *record)
{
    if (terminal->top_flows == 0) {
        return;
    }
    (void)pthread_mutex_lock(&terminal->lock);
    for (uint32_t i = 0; i < record->top_flows_count; i++) {
        const struct stats_top_flow *flow = &record->top_flows[i];
        uint32_t at = 0;

        while (at < terminal->kept_count && terminal->kept[at].flow.flow_id != flow->flow_id) {
            at++;
        }
        if (at == KEPT_MAX) {
            continue;
        }
        if (at == terminal->kept_count) {
            terminal->kept_count++;
            terminal->kept[at] = (struct kept_flow){.flow = *flow};
        }
        terminal->kept[at].flow.tcp_state = flow->tcp_state;
        terminal->kept[at].flow.total_bytes = flow->total_bytes;
        terminal->kept[at].bytes += flow->delta_bytes_forward + flow->delta_bytes_reverse;
        terminal->kept[at].packets += flow->delta_packets;
    }
    (void)pthread_mutex_unlock(&terminal->lock);
}

static int more_bytes(const void *a, const void *b)
{
    const struct kept_flow *left = a;
    const struct kept_flow *right = b;

    return left->bytes < right->bytes ? 1 : left->bytes > right->bytes ? -1 : 0;
}

static void endpoint_text(const struct ip_address *ip, uint16_t port, char *out, size_t out_bytes)
{
    char address[ADDRESS_TEXT_BYTES];

    (void)address_text(ip, address);
    (void)snprintf(out, out_bytes, ip->version == 6 ? "[%s]:%u" : "%s:%u", address, port);
}

static void print_top_flows(struct terminal *terminal, double seconds)
{
    static const char *const states[] = {"unknown",  "syn_sent", "syn_ack", "established",
                                         "fin_wait", "closed",   "reset"};

    (void)pthread_mutex_lock(&terminal->lock);
    if (terminal->kept_count > 0) {
        qsort(terminal->kept, terminal->kept_count, sizeof(terminal->kept[0]), more_bytes);
    }
    for (uint32_t i = 0; i < terminal->kept_count && i < terminal->top_flows; i++) {
        const struct kept_flow *kept = &terminal->kept[i];
        const char *protocol = ip_protocol_name(kept->flow.ip_protocol);
        char client[64];
        char server[64];

        endpoint_text(&kept->flow.client_ip, kept->flow.client_port, client, sizeof(client));
        endpoint_text(&kept->flow.server_ip, kept->flow.server_port, server, sizeof(server));
        (void)fprintf(terminal->out,
                      "  %2u. %-6s %s > %s  %.2f Mbps  %llu bytes (total %llu)  %s\n", i + 1,
                      protocol != NULL ? protocol : "IP", client, server,
                      (double)kept->bytes * 8e-6 / seconds, (unsigned long long)kept->bytes,
                      (unsigned long long)kept->flow.total_bytes,
                      states[kept->flow.tcp_state <= TCP_RESET ? kept->flow.tcp_state : 0]);
    }
    terminal->kept_count = 0;
    (void)pthread_mutex_unlock(&terminal->lock);
}

static unsigned long long since(uint64_t now, uint64_t then)
{
    return now - then;
}

void terminal_statistics(struct terminal *terminal, struct pipeline *pipeline, uint64_t now_ns)
{
    struct pipeline_totals now;
    const struct pipeline_totals *then = &terminal->then;
    const double seconds =
        now_ns > terminal->then_ns ? (double)(now_ns - terminal->then_ns) * 1e-9 : 1;

    pipeline_totals_read(pipeline, &now);
    (void)fprintf(
        terminal->out,
        "[stats] %.2f Mbps | %.0f pps | %llu flows | drops=%llu (total=%llu) | "
        "kdrop=%llu (total=%llu) ifdrop=%llu (total=%llu)\n",
        (double)(now.bytes - then->bytes) * 8e-6 / seconds,
        (double)(now.packets - then->packets) / seconds, (unsigned long long)now.flows_active,
        since(now.dispatch_dropped, then->dispatch_dropped),
        (unsigned long long)now.dispatch_dropped, since(now.kernel_dropped, then->kernel_dropped),
        (unsigned long long)now.kernel_dropped,
        since(now.interface_dropped, then->interface_dropped),
        (unsigned long long)now.interface_dropped);
    print_top_flows(terminal, seconds);
    (void)fflush(terminal->out);
    terminal->then = now;
    terminal->then_ns = now_ns;
}

void terminal_summary(struct terminal *terminal, struct pipeline *pipeline)
{
    struct pipeline_totals totals;
    const struct publisher_counts *published = pipeline_publisher_counts(pipeline);

    pipeline_totals_read(pipeline, &totals);
    (void)fprintf(terminal->out, "packets captured: %llu (%llu bytes)\n",
                  (unsigned long long)totals.packets, (unsigned long long)totals.bytes);
    (void)fprintf(terminal->out, "flows: %llu, records: %llu, alerts: %llu\n",
                  (unsigned long long)totals.flows_created,
                  (unsigned long long)counter_get(&published->records[RECORD_FLOWS]),
                  (unsigned long long)counter_get(&published->records[RECORD_ALERTS]));
    (void)fprintf(terminal->out, "dispatch drops: %llu\n",
                  (unsigned long long)totals.dispatch_dropped);
    (void)fprintf(terminal->out, "kernel drops: %llu, interface drops: %llu\n",
                  (unsigned long long)totals.kernel_dropped,
                  (unsigned long long)totals.interface_dropped);
    (void)fprintf(terminal->out,
                  "parse errors: %llu (truncated %llu, malformed %llu, link type unknown %llu), "
                  "not IP: %llu\n",
                  since(totals.truncated + totals.malformed + totals.unsupported, 0),
                  (unsigned long long)totals.truncated, (unsigned long long)totals.malformed,
                  (unsigned long long)totals.unsupported, (unsigned long long)totals.non_ip);
    (void)fflush(terminal->out);
}

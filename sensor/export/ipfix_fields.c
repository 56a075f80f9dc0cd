#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/endpoint.h"
#include "proto/filter/filter.h"
#include "proto/ipfix/ipfix.h"
#include "sensor/export/ipfix_peer.h"
#include "sensor/export/ipfix_sink.h"

#define FIELD(member) offsetof(struct ipfix_export_settings, member)

#define UDP_PAYLOAD_MAX 65507

const struct config_field ipfix_fields[] = {
    {.type = CONFIG_LIST,
     .key = "collectors",
     .offset = FIELD(collectors),
     .value = "",
     .help = "IPFIX collectors, host:port each (IPFIX's port is 4739), four at most; each gets all "
             "records. Empty: no IPFIX."},
    {.type = CONFIG_CHOICE,
     .key = "transport",
     .offset = FIELD(transport),
     .value = "udp",
     .choices = "udp|tcp",
     .help = "udp: what the network or a full receiver loses is seen by the collector alone, from "
             "sequence numbers. tcp: records wait while the collector is away. Neither is "
             "encrypted: for an untrusted network use the collector stream or Kafka."},
    {.type = CONFIG_BOOL,
     .key = "biflow",
     .offset = FIELD(biflow),
     .value = "false",
     .help = "One Data Record for both directions (RFC 5103) instead of one for each; not all "
             "collectors read the other direction."},
    {.type = CONFIG_U64,
     .key = "observation_domain",
     .offset = FIELD(domain),
     .value = "1",
     .min = 0,
     .max = 4294967295.0,
     .help = "Observation Domain ID: tells sensors behind one address apart."},
    {.type = CONFIG_U64,
     .key = "enterprise",
     .offset = FIELD(enterprise),
     .value = "0",
     .min = 0,
     .max = 4294967295.0,
     .help = "Your private enterprise number (IANA), under which names, Community ID, round trips "
             "and TCP health are sent too, described in-band; 0: IANA's elements alone."},
    {.type = CONFIG_BYTES,
     .key = "message_bytes",
     .offset = FIELD(message_bytes),
     .value = "1400B",
     .min = IPFIX_MESSAGE_MIN,
     .max = IPFIX_MESSAGE_MAX,
     .help = "A message is not made larger; over UDP it should fit the path's MTU."},
    {.type = CONFIG_DURATION,
     .key = "template_interval",
     .offset = FIELD(template_interval_ns),
     .value = "1m",
     .min = 1e9,
     .max = 86400e9,
     .help = "Over UDP templates and options are sent again in this time."},
    {.type = CONFIG_U64,
     .key = "rate",
     .offset = FIELD(rate),
     .value = "100000",
     .min = 0,
     .max = 1e9,
     .help = "Over UDP at most so many flow records a second, since a burst is lost in the "
             "receiver's buffer; what is above waits, then is dropped and counted. 0: no bound."},
    {.type = CONFIG_TEXT,
     .key = "filter",
     .offset = FIELD(filter),
     .value = "",
     .max = 4096,
     .help = "Only flow records that match: NOT app = dns; empty: all."},
    {.type = CONFIG_DURATION,
     .key = "connect_timeout",
     .offset = FIELD(connect_timeout_ns),
     .value = "5s",
     .min = 1e8,
     .max = 60e9,
     .help = "A collector that has not answered by then is tried again later."},
    {.type = CONFIG_DURATION,
     .key = "send_timeout",
     .offset = FIELD(send_timeout_ns),
     .value = "30s",
     .min = 1e9,
     .max = 600e9,
     .help = "Over TCP a collector that has taken nothing for so long is hung up on."},
    {.type = CONFIG_DURATION,
     .key = "backoff_max",
     .offset = FIELD(backoff_max_ns),
     .value = "30s",
     .min = 1e8,
     .max = 3600e9,
     .help = "Longest time between two tries to reach a collector."},
    {0},
};

static int check_filter(const char *text, struct error *err)
{
    if (text[0] == '\0') {
        return 0;
    }
    struct filter *filter = filter_compile(text, strlen(text), err, NULL);

    if (filter == NULL) {
        error_prefix(err, "ipfix.filter");
        return -err->code;
    }
    filter_free(filter);
    return 0;
}

int ipfix_settings_check(const struct ipfix_export_settings *settings, struct error *err)
{
    const struct config_list *list = &settings->collectors;
    struct endpoint address;

    if (list->count > IPFIX_COLLECTORS_MAX) {
        return error_set(err, EINVAL, "ipfix.collectors: %u, at most %d", list->count,
                         IPFIX_COLLECTORS_MAX);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (!endpoint_read_peer(list->items[i], &address)) {
            return error_set(err, EINVAL,
                             "ipfix.collectors: \"%.80s\" is no address: write host:%d or "
                             "[IPv6]:%d",
                             list->items[i], IPFIX_PORT, IPFIX_PORT);
        }
        for (uint32_t other = 0; other < i; other++) {
            if (strcmp(list->items[i], list->items[other]) == 0) {
                return error_set(err, EINVAL, "ipfix.collectors: %.80s is there twice",
                                 list->items[i]);
            }
        }
    }
    if (strcmp(settings->transport, "udp") == 0 && settings->message_bytes > UDP_PAYLOAD_MAX) {
        return error_set(err, EINVAL,
                         "ipfix.message_bytes: %llu do not fit a datagram (%d at most): make it "
                         "smaller or use transport tcp",
                         (unsigned long long)settings->message_bytes, UDP_PAYLOAD_MAX);
    }
    return check_filter(settings->filter, err);
}

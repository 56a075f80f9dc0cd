/* Health of TCP and DNS since the start: the sums of each second's statistics. */
#include "base/clock.h"
#include "sensor/pipeline/pipeline_private.h"

/* Seconds as whole nanoseconds, so that they are one counter. */
static uint64_t in_ns(double seconds)
{
    return seconds > 0 ? (uint64_t)(seconds * (double)NS_PER_SEC) : 0;
}

void pipeline_health_add(struct pipeline_health_counts *counts, const struct stats_record *record)
{
    uint64_t other = record->dns_responses;

    for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
        counter_add(&counts->rtt[i], record->rtt_counts[i]);
        counter_add(&counts->dns_response[i], record->dns_response_counts[i]);
    }
    for (unsigned i = 0; i < STATS_RCODES; i++) {
        counter_add(&counts->dns_rcodes[i], record->dns_rcode_counts[i]);
        other -= record->dns_rcode_counts[i]; /* of as many answers */
    }
    counter_add(&counts->dns_rcodes_other, other);
    counter_add(&counts->rtt_ns, in_ns(record->rtt_sum_seconds));
    counter_add(&counts->data_segments, record->data_segments);
    counter_add(&counts->retransmitted_segments, record->retransmitted_segments);
    counter_add(&counts->out_of_order_segments, record->out_of_order_segments);
    counter_add(&counts->zero_windows, record->zero_window_events);
    counter_add(&counts->resets, record->resets);
    counter_add(&counts->dns_queries, record->dns_queries);
    counter_add(&counts->dns_responses, record->dns_responses);
    counter_add(&counts->dns_response_ns, in_ns(record->dns_response_sum_seconds));
}

const struct pipeline_health_counts *pipeline_health(const struct pipeline *pipeline)
{
    return &pipeline->health;
}

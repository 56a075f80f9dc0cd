/* How much a second the collector takes of each stream: Throttle. A token bucket a stream; what
 * finds no token waits in the spool. By the sink's thread. */
#include "base/clock.h"
#include "base/log.h"
#include "sensor/export/collector_sink_private.h"

#define BURST_SECONDS 0.1 /* longer than a turn of the thread: an idle one loses no tokens */

static const char *const stream_names[RECORD_STREAM_COUNT] = {"none",  "flows",   "alerts",
                                                              "stats", "packets", "dns"};

static double burst(uint32_t per_second)
{
    const double records = per_second * BURST_SECONDS;

    return records < 1 ? 1 : records;
}

static void use_rate(struct collector_lane *lane, uint32_t per_second, uint64_t now_ns)
{
    struct collector_rate *rate = &lane->rate;
    static struct log_limit limit;

    if (rate->per_second == per_second) {
        return;
    }
    if (rate->per_second == 0) {
        *rate = (struct collector_rate){.filled_ns = now_ns};
    }
    rate->per_second = per_second;
    if (!log_allowed(&limit, NS_PER_SEC / 4, NULL)) {
        return; /* a collector in trouble may say it each second, of each stream */
    }
    if (per_second > 0) {
        log_info("collector", "the collector takes less: the rest waits in the spool",
                 "stream=%s max_rate=%u", stream_names[lane->stream], per_second);
    } else {
        log_info("collector", "the collector takes all again", "stream=%s",
                 stream_names[lane->stream]);
    }
}

void collector_rate_take(struct collector_sink *sink, const struct collector_news *news,
                         uint64_t now_ns)
{
    bool names_any = false;

    sink->throttles += news->throttles;
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct collector_lane *lane = &sink->lanes[i];

        if (news->has_rate[lane->stream]) {
            use_rate(lane, news->rates[lane->stream], now_ns);
            names_any = true;
        }
    }
    static struct log_limit limit;

    if (!names_any && log_allowed(&limit, NS_PER_SEC, NULL)) {
        log_warn("collector", "a request to send less names no stream that there is: ignored",
                 NULL);
    }
}

void collector_rate_reset(struct collector_sink *sink)
{
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        sink->lanes[i].rate = (struct collector_rate){0};
    }
}

bool collector_rate_allows(struct collector_lane *lane, uint64_t now_ns)
{
    struct collector_rate *rate = &lane->rate;

    if (rate->per_second == 0) {
        return true;
    }
    if (now_ns > rate->filled_ns) {
        const double most = burst(rate->per_second);

        rate->tokens += (double)(now_ns - rate->filled_ns) / (double)NS_PER_SEC * rate->per_second;
        rate->tokens = rate->tokens < most ? rate->tokens : most;
        rate->filled_ns = now_ns;
    }
    return rate->tokens >= 1;
}

void collector_rate_spend(struct collector_lane *lane, uint32_t records)
{
    if (lane->rate.per_second > 0) {
        lane->rate.tokens -= records;
    }
}

uint32_t collector_rate_lowest(const struct collector_sink *sink)
{
    uint32_t lowest = 0;

    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        const uint32_t rate = sink->lanes[i].rate.per_second;

        if (rate > 0 && (lowest == 0 || rate < lowest)) {
            lowest = rate;
        }
    }
    return lowest;
}

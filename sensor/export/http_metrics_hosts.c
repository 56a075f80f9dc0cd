/* The part of /metrics that tells of what is known of hosts: assets, names and labels. */
#include "sensor/export/http_metrics_parts.h"

static void write_assets(struct metrics_page *page, struct pipeline *pipeline,
                         const struct pipeline_totals *totals)
{
    struct asset_list_sum sum;

    (void)pipeline_assets(pipeline, NULL, NULL, 0, &sum);
    metrics_one(page, "netscope_assets", METRICS_GAUGE, "Pairs of address and MAC known now.",
                sum.count);
    metrics_one(page, "netscope_assets_replaced_total", METRICS_COUNTER,
                "Unseen for the longest, that made room (assets.max).", sum.replaced);
    metrics_one(page, "netscope_assets_refused_total", METRICS_COUNTER,
                "More than a shard keeps of one second.", sum.refused);
    metrics_family(page, "netscope_arp_packets_total", METRICS_COUNTER, "ARP packets, by kind.");
    for (unsigned kind = 0; kind < ARP_KIND_COUNT; kind++) {
        metrics_u64(page, "netscope_arp_packets_total",
                    METRICS_LABELS("kind", arp_kind_name((enum arp_kind)kind)), totals->arp[kind]);
    }
}

static void write_labels(struct metrics_page *page, const struct pipeline *pipeline)
{
    struct pipeline_labels labels;

    if (!pipeline_labels_read(pipeline, &labels)) {
        return;
    }
    metrics_one(page, "netscope_labels_prefixes", METRICS_GAUGE,
                "Prefixes with labels or a name (networks.labels, networks.names).",
                labels.prefixes);
    metrics_one(page, "netscope_labels_memory_bytes", METRICS_GAUGE,
                "Memory for addresses whose labels are remembered.", labels.memory_bytes);
    metrics_one(page, "netscope_labels_ends_total", METRICS_COUNTER,
                "Ends of flow records with at least one label.", labels.labelled);
    metrics_one(page, "netscope_labels_named_total", METRICS_COUNTER,
                "Ends of flow records with a name of networks.names.", labels.named);
    metrics_one(page, "netscope_labels_lookups_total", METRICS_COUNTER,
                "Addresses looked up in prefixes and databases.", labels.looked_up);
    metrics_one(page, "netscope_labels_remembered_total", METRICS_COUNTER,
                "Addresses whose labels were remembered.", labels.found);
    metrics_one(page, "netscope_labels_omitted_total", METRICS_COUNTER,
                "Labels and names that found no room in their record.", labels.omitted);
}

static void write_names(struct metrics_page *page, struct pipeline *pipeline)
{
    struct pipeline_names names;

    pipeline_names_read(pipeline, &names);
    metrics_one(page, "netscope_names_answers", METRICS_GAUGE, "DNS answers remembered now.",
                names.answers_used);
    metrics_one(page, "netscope_names_answers_max", METRICS_GAUGE, "Room for them (names.max).",
                names.answers_max);
    metrics_one(page, "netscope_names_memory_bytes", METRICS_GAUGE,
                "Memory taken for them at the start.", names.memory_bytes);
    metrics_one(page, "netscope_names_added_total", METRICS_COUNTER,
                "Answers remembered since the start.", names.added);
    metrics_one(page, "netscope_names_replaced_total", METRICS_COUNTER,
                "Oldest answers that made room for newer ones.", names.replaced);
    metrics_one(page, "netscope_names_refused_total", METRICS_COUNTER,
                "Answers for what is no host name.", names.refused);
    metrics_one(page, "netscope_names_lost_total", METRICS_COUNTER,
                "Answers that found the way to the publisher full.", names.lost);
    metrics_one(page, "netscope_names_servers_total", METRICS_COUNTER,
                "Flow records whose server was named by an answer.", names.named_servers);
    metrics_one(page, "netscope_names_clients_total", METRICS_COUNTER,
                "Flow records whose client was named by an answer.", names.named_clients);
    metrics_one(page, "netscope_names_no_room_total", METRICS_COUNTER,
                "Names that did not fit behind their record.", names.no_room);
    metrics_one(page, "netscope_names_early_total", METRICS_COUNTER,
                "Batches that did not wait for the answers of all shards.", names.early);
}

void http_write_hosts(struct metrics_page *page, struct pipeline *pipeline,
                      const struct pipeline_totals *totals)
{
    write_assets(page, pipeline, totals);
    write_names(page, pipeline);
    write_labels(page, pipeline);
}

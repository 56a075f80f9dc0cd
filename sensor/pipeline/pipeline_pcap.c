/* The pcap file that a pipeline writes. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "sensor/pipeline/pipeline_private.h"

void pipeline_write_name(void *context, uint16_t interface, char *out, size_t capacity)
{
    const struct pipeline *pipeline = context;
    const struct record_text name = pipeline_interface_name(pipeline, interface);

    (void)snprintf(out, capacity, "%.*s", (int)name.length, name.length > 0 ? name.data : "");
}

int pipeline_pcap_open(struct pipeline *pipeline, struct error *err)
{
    if (pipeline->settings.write_pcap == NULL) {
        return 0;
    }
    struct pcap_writer_settings settings = *pipeline->settings.write_pcap;

    settings.producers = pipeline->settings.shards;
    settings.link_type = PCAP_WRITER_LINK_OF_FIRST;
    settings.is_nanosecond = true;
    settings.is_lossless = !pipeline_is_live(pipeline);
    settings.name_of = pipeline_write_name;
    settings.name_context = pipeline;
    if (pipeline->reader != NULL) {
        struct capture_progress progress;

        reader_progress(pipeline->reader, &progress);
        settings.is_nanosecond = progress.is_nanosecond;
    }
    pipeline->pcap = pcap_writer_open(&settings, err);
    return pipeline->pcap == NULL ? -err->code : 0;
}

int pipeline_pcap_close(struct pipeline *pipeline, struct error *err)
{
    struct pcap_writer_counts *written = &pipeline->pcap_counts;

    if (pipeline->pcap == NULL) {
        return 0;
    }
    (void)pthread_mutex_lock(&pipeline->pcap_lock);
    int result = pcap_writer_close(pipeline->pcap, written, err);

    pipeline->pcap = NULL;
    (void)pthread_mutex_unlock(&pipeline->pcap_lock);
    if (result == 0 && written->disk_full > 0) {
        result =
            error_set(err, ENOSPC, "%s: the disk was full: %llu packets were not written",
                      pipeline->settings.write_pcap->path, (unsigned long long)written->disk_full);
    }
    if (result == 0 && written->last_trouble != 0) {
        result = error_set(err, written->last_trouble, "%s: %s: %llu packets were not written",
                           pipeline->settings.write_pcap->path, strerror(written->last_trouble),
                           (unsigned long long)written->failed);
    }
    if (result == 0 && written->link_type_refused > 0) {
        result = error_set(
            err, EPROTOTYPE,
            "%s: a pcap file has one link type: %llu packets of another one than the "
            "first were not written",
            pipeline->settings.write_pcap->path, (unsigned long long)written->link_type_refused);
    }
    return result;
}

bool pipeline_pcap_failed(const struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        if (counter_get(&shard_counts_of(pipeline->shards[i])->pcap_failed) > 0) {
            return true;
        }
    }
    return false;
}

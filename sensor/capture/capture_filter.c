#include "sensor/capture/capture_filter.h"

#include <errno.h>

#include "sensor/capture/capture.h"

/* Some link types have a number of their own in libpcap on Linux; the rest is the same
 * (https://www.tcpdump.org/linktypes.html). */
static const struct {
    int dlt;
    uint16_t link_type;
} renumbered[] = {
    {11, 100}, /* RFC 1483 ATM */
    {12, 101}, /* raw IP */
    {15, 102}, /* SLIP, BSD/OS */
    {16, 103}, /* PPP, BSD/OS */
    {19, 106}, /* classical IP over ATM */
};

uint16_t capture_link_type_of(int dlt)
{
    for (size_t i = 0; i < ARRAY_COUNT(renumbered); i++) {
        if (renumbered[i].dlt == dlt) {
            return renumbered[i].link_type;
        }
    }
    return (uint16_t)dlt;
}

int capture_dlt_of(uint16_t link_type)
{
    for (size_t i = 0; i < ARRAY_COUNT(renumbered); i++) {
        if (renumbered[i].link_type == link_type) {
            return renumbered[i].dlt;
        }
    }
    return link_type == LINK_RAW_OPENBSD ? 12 : link_type;
}

const char *capture_link_name(uint16_t link_type)
{
    const char *name = pcap_datalink_val_to_description(capture_dlt_of(link_type));

    return name != NULL ? name : "unknown";
}

int capture_filter_compile(pcap_t *handle, const char *filter, struct bpf_program *out,
                           struct error *err)
{
    if (pcap_compile(handle, out, filter == NULL ? "" : filter, 1, PCAP_NETMASK_UNKNOWN) != 0) {
        return error_set(err, EINVAL, "filter \"%s\": %s", filter == NULL ? "" : filter,
                         pcap_geterr(handle));
    }
    return 0;
}

int capture_filter_check(const char *filter, uint16_t link_type, struct error *err)
{
    pcap_t *handle = pcap_open_dead(capture_dlt_of(link_type), 65535);
    if (handle == NULL) {
        return error_set(err, ENOMEM, "filter \"%s\": out of memory", filter);
    }
    struct bpf_program program;
    const int status = capture_filter_compile(handle, filter, &program, err);
    if (status == 0) {
        pcap_freecode(&program);
    }
    pcap_close(handle);
    return status;
}

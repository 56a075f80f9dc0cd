/* Files through libpcap: what the own readers are compared with. It knows one link type a file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/capture/capture_filter.h"
#include "sensor/capture/file_reader.h"

#define BLOCK_BYTES (1U << 20)

struct libpcap_file {
    struct file_reader *reader;
    pcap_t *handle;
    const struct bpf_program *filter;
    /* The packet that did not fit into the last batch; its bytes are still libpcap's. */
    bool has_pending;
    struct frame pending;
    struct error fault; /* met behind the frames of the last batch; libpcap tells it only once */
    uint8_t block[BLOCK_BYTES];
};

static void libpcap_file_close(void *state)
{
    struct libpcap_file *file = state;
    if (file == NULL) {
        return;
    }
    if (file->handle != NULL) {
        pcap_close(file->handle);
    }
    free(file);
}

static bool is_microsecond_pcap(const struct byte_source *source)
{
    uint32_t magic = 0;
    memcpy(&magic, source->peeked, sizeof magic);
    const uint32_t swapped = __builtin_bswap32(magic);
    return magic == 0xa1b2c3d4U || swapped == 0xa1b2c3d4U || magic == 0xa1b2cd34U ||
           swapped == 0xa1b2cd34U;
}

void *libpcap_file_open(struct file_reader *reader, struct error *err)
{
    char message[PCAP_ERRBUF_SIZE] = "";
    struct libpcap_file *file = malloc(sizeof *file);
    FILE *stream = byte_source_file(&reader->source);
    if (file == NULL || stream == NULL) {
        free(file);
        if (stream != NULL) {
            fclose(stream);
        }
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    memset(file, 0, offsetof(struct libpcap_file, block));
    file->reader = reader;
    reader->is_nanosecond = !is_microsecond_pcap(&reader->source);

    file->handle =
        pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, message);
    if (file->handle == NULL) {
        fclose(stream);
        free(file);
        if (reader->source.peeked_bytes == 0) {
            error_set(err, EBADMSG, "not a capture file (it is empty)");
        } else if (strstr(message, "truncated") != NULL && is_microsecond_pcap(&reader->source)) {
            error_set(err, EBADMSG, "truncated in the file header");
        } else if (strstr(message, "truncated") != NULL) {
            error_set(err, EBADMSG, "not a capture file (too short)");
        } else if (strcmp(message, "unknown file format") == 0) {
            error_set(err, EBADMSG, "not a capture file (unknown file format)");
        } else {
            error_set(err, EBADMSG, "%s", message);
        }
        return NULL;
    }
    reader->link_type = capture_link_type_of(pcap_datalink(file->handle));

    if (link_filters_program(reader->filters, reader->link_type, &file->filter, err) != 0) {
        libpcap_file_close(file);
        return NULL;
    }
    return file;
}

static uint64_t time_of(const struct timeval *time)
{
    /* Classic files hold 32 bits, which libpcap 1.10 takes as signed: 2038 to 2106 would be
     * negative. */
    const uint64_t seconds =
        time->tv_sec < 0 ? (uint64_t)(uint32_t)time->tv_sec : (uint64_t)time->tv_sec;
    return seconds * NS_PER_SEC + (uint64_t)time->tv_usec;
}

/* The next packet that passes the filter into `pending`. 1, 0 at the end, or -errno. */
static int fetch(struct libpcap_file *file, struct error *err)
{
    struct file_reader *reader = file->reader;
    for (;;) {
        struct pcap_pkthdr *header;
        const uint8_t *bytes;
        const int status = pcap_next_ex(file->handle, &header, &bytes);
        if (status == PCAP_ERROR_BREAK) {
            return 0;
        }
        if (status != 1) {
            const char *message = pcap_geterr(file->handle);
            const unsigned long long count = reader->packets_read;
            if (strstr(message, "truncated") != NULL) {
                return error_set(err, EBADMSG, "truncated after %llu packet%s", count,
                                 count == 1 ? "" : "s");
            }
            return error_set(err, EBADMSG, "packet %llu: %s", count + 1, message);
        }

        reader->packets_read++;
        file->pending = (struct frame){
            .bytes = bytes,
            .captured_bytes = header->caplen,
            .wire_bytes = header->len,
            .time_ns = time_of(&header->ts),
            .link_type = reader->link_type,
            .interface = reader->name,
        };
        if (!link_filter_passes(file->filter, &file->pending)) {
            continue;
        }
        file->has_pending = true;
        return 1;
    }
}

static int32_t libpcap_file_next_batch(void *state, struct frame *frames, uint32_t frames_max,
                                       struct error *err)
{
    struct libpcap_file *file = state;
    uint32_t count = 0;
    size_t used = 0;

    while (count < frames_max) {
        if (!file->has_pending && file->fault.code == 0 && fetch(file, &file->fault) == 0) {
            return (int32_t)count;
        }
        if (!file->has_pending) {
            return count > 0 ? (int32_t)count
                             : error_set(err, file->fault.code, "%s", file->fault.message);
        }
        const uint32_t bytes = file->pending.captured_bytes;
        if (bytes > BLOCK_BYTES && count == 0) {
            frames[0] = file->pending; /* larger than any batch: libpcap's own memory, alone */
            file->has_pending = false;
            return 1;
        }
        if (bytes > BLOCK_BYTES - used) {
            break;
        }
        frames[count] = file->pending;
        frames[count].bytes = memcpy(file->block + used, file->pending.bytes, bytes);
        file->has_pending = false;
        used += bytes;
        count++;
    }
    return (int32_t)count;
}

const struct capture_ops libpcap_file_ops = {
    .name = "libpcap",
    .next_batch = libpcap_file_next_batch,
    .close = libpcap_file_close,
};

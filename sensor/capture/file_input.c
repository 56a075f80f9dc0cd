#include "sensor/capture/file_input.h"

#include <errno.h>
#include <string.h>

const char *file_input_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static int not_a_capture(const struct byte_source *source, struct error *err)
{
    if (source->peeked_bytes == 0) {
        return error_set(err, EBADMSG, "not a capture file (it is empty)");
    }
    if (source->peeked_bytes < 12) {
        return error_set(err, EBADMSG, "not a capture file (too short)");
    }
    return error_set(err, EBADMSG, "not a capture file (unknown file format)");
}

static void *reader_open(struct file_input *input, bool is_libpcap_forced, struct error *err)
{
    struct file_reader *reader = &input->reader;
    const uint8_t *first = reader->source.peeked;
    const uint32_t count = reader->source.peeked_bytes;

    if (is_libpcap_forced) {
        input->ops = &libpcap_file_ops;
        return libpcap_file_open(reader, err);
    }
    if (pcapng_file_is(first, count)) {
        input->ops = &pcapng_file_ops;
        return pcapng_file_open(reader, err);
    }
    if (pcap_file_is(first, count)) {
        input->ops = &pcap_file_ops;
        return pcap_file_open(reader, err);
    }
    (void)not_a_capture(&reader->source, err);
    return NULL;
}

int file_input_open(struct file_input *input, bool is_libpcap_forced, struct error *err)
{
    struct file_reader *reader = &input->reader;
    struct error fault = {0};
    const int status = byte_source_open(&reader->source, input->path, err);

    if (status != 0) {
        return status;
    }
    reader->source.stop = reader->stop;
    reader->packets_read = reader->kernel_dropped = reader->interface_dropped = 0;
    if (reader->names != NULL) {
        const char *slash = strrchr(input->path, '/');
        const char *name = file_input_name(slash != NULL ? slash + 1 : input->path);

        reader->name = name_table_add(reader->names, name, strlen(name));
    }
    if (byte_source_peek(&reader->source, &fault) == 0) {
        input->state = reader_open(input, is_libpcap_forced, &fault);
    }
    if (input->state == NULL) {
        file_input_close(input);
        return error_set(err, fault.code != 0 ? fault.code : EIO, "%s: %s",
                         file_input_name(input->path), fault.message);
    }
    return 0;
}

void file_input_close(struct file_input *input)
{
    if (input->state != NULL) {
        input->ops->close(input->state);
    }
    input->state = NULL;
    input->at = input->count = 0;
    byte_source_close(&input->reader.source);
}

int32_t file_input_read(struct file_input *input, struct frame *frames, uint32_t frames_max,
                        struct error *err)
{
    const int32_t got = input->ops->next_batch(input->state, frames, frames_max, err);

    if (got < 0 && got != -EAGAIN) {
        error_prefix(err, "%s", file_input_name(input->path));
    }
    return got;
}

/* A packet without a time keeps its place behind the one before it. */
static void order_next(struct file_input *input)
{
    const uint64_t time_ns = input->frames[input->at].time_ns;

    if (time_ns != 0) {
        input->next_ns = time_ns;
    }
}

int file_input_fill(struct file_input *input, struct error *err)
{
    if (input->at < input->count) {
        return 1;
    }
    input->at = input->count = 0;
    const int32_t got = file_input_read(input, input->frames, FILE_INPUT_FRAMES, err);

    if (got <= 0) {
        return got;
    }
    input->count = (uint32_t)got;
    order_next(input);
    return 1;
}

void file_input_advance(struct file_input *input)
{
    if (++input->at < input->count) {
        order_next(input);
    }
}

#include "sensor/capture/pcap_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "sensor/capture/pcap_format.h"

#define BUFFER_BYTES (1U << 20)
#define RETRY_NS     NS_PER_SEC
/* A ring told by its minutes or bytes alone has so many segments: what the oldest holds too much.
 */
#define SEGMENTS_OF_RING 8U

static const char *path_now(const struct pcap_output *output, char *out, size_t out_bytes)
{
    if (pcap_writer_has_segments(&output->settings)) {
        pcap_segment_path(output->settings.path, output->now.number, out, out_bytes);
    } else {
        (void)snprintf(out, out_bytes, "%s", output->settings.path);
    }
    return out;
}

static int fail(struct pcap_output *output, const char *what, int code)
{
    char path[PATH_MAX];
    if (!atomic_load_explicit(&output->is_failed, memory_order_relaxed)) {
        error_set(&output->fault, code, "%s %s: %s", what, path_now(output, path, sizeof path),
                  strerror(code));
        atomic_store_explicit(&output->is_failed, true, memory_order_release);
    }
    return -code;
}

static bool is_disk_full(int code)
{
    return code == ENOSPC || code == EDQUOT;
}

/* What may pass: the disk is full, read-only for a time, or broken. */
static bool is_disk_trouble(int code)
{
    return is_disk_full(code) || code == EROFS || code == EIO;
}

/* From now on packets are lost, until the next attempt. */
static int wait_for_disk(struct pcap_output *output, int code)
{
    output->retry_ns = clock_monotonic_ns() + RETRY_NS;
    counter_set(&output->trouble, (uint64_t)code);
    counter_set(&output->last_trouble, (uint64_t)code);
    return -code;
}

static struct counter *lost_by(struct pcap_output *output, int code)
{
    return output->recovers && is_disk_full(code) ? &output->disk_full : &output->failed;
}

/* ---- segments -------------------------------------------------------------------------------- */

static void tell_oldest(struct pcap_output *output)
{
    const struct pcap_segment *oldest = pcap_segments_oldest(&output->closed);

    counter_set(&output->oldest_ns, oldest != NULL ? oldest->first_ns : output->now.first_ns);
    counter_set(&output->oldest_number, oldest != NULL ? oldest->number : output->now.number);
}

/* False when there is none, or it cannot be deleted (kept as the fault). */
static bool delete_oldest(struct pcap_output *output)
{
    const struct pcap_segment *oldest = pcap_segments_oldest(&output->closed);
    char path[PATH_MAX];

    if (oldest == NULL) {
        return false;
    }
    pcap_segment_path(output->settings.path, oldest->number, path, sizeof path);
    if (unlink(path) != 0 && errno != ENOENT) {
        if (!is_disk_trouble(errno)) {
            (void)fail(output, "delete the segment before", errno);
        }
        return false;
    }
    pcap_segments_drop_oldest(&output->closed);
    counter_add(&output->deleted, 1);
    tell_oldest(output);
    return true;
}

/* Deletes what is more than shall be kept, with the segment being written. */
static void prune(struct pcap_output *output)
{
    const struct pcap_writer_settings *settings = &output->settings;
    const uint32_t files_max = settings->files_max > 0 && settings->files_max < PCAP_SEGMENTS_MAX
                                   ? settings->files_max
                                   : PCAP_SEGMENTS_MAX; /* each has a number of its own */

    for (const struct pcap_segment *oldest;
         (oldest = pcap_segments_oldest(&output->closed)) != NULL;) {
        const bool is_too_many = output->closed.count + 1 > files_max;
        const bool is_too_large = settings->bytes_max > 0 &&
                                  output->closed.bytes + output->now.bytes > settings->bytes_max;
        const bool is_too_old = settings->keep_ns > 0 && output->newest_ns > settings->keep_ns &&
                                oldest->last_ns < output->newest_ns - settings->keep_ns;

        if ((!is_too_many && !is_too_large && !is_too_old) || !delete_oldest(output)) {
            return;
        }
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The disk takes nothing: what was buffered is gone, the file ends with its last whole packet, and
 * each second it is tried again. A pipe or device that fails is lost. */
static int lose_buffer(struct pcap_output *output, int code)
{
    const uint64_t packets = output->buffered_packets;

    if (ftruncate(output->fd, (off_t)output->flushed_bytes) == 0) {
        (void)lseek(output->fd, (off_t)output->flushed_bytes, SEEK_SET);
    }
    counter_set(&output->written, counter_get(&output->written) - packets);
    counter_set(&output->written_bytes,
                counter_get(&output->written_bytes) - output->buffered_bytes);
    counter_add(lost_by(output, code), packets);
    output->now.bytes = output->flushed_bytes;
    output->now_packets -= packets;
    output->interfaces_count = output->interfaces_flushed;
    output->is_headed = output->flushed_bytes > 0;
    output->buffered_bytes = 0;
    output->buffered_packets = 0;
    return output->recovers ? wait_for_disk(output, code) : fail(output, "write", code);
}

static int flush_buffer(struct pcap_output *output)
{
    size_t done = 0;

    while (done < output->buffered_bytes) {
        const ssize_t sent =
            write(output->fd, output->buffer + done, output->buffered_bytes - done);
        if (sent >= 0) {
            done += (size_t)sent;
        } else if (errno != EINTR) {
            const int code = errno;
            if (!is_disk_full(code) || !delete_oldest(output)) {
                return lose_buffer(output, code);
            }
        }
    }
    if (done > 0) {
        counter_set(&output->trouble, 0);
    }
    output->flushed_bytes += output->buffered_bytes;
    output->interfaces_flushed = output->interfaces_count;
    output->buffered_bytes = 0;
    output->buffered_packets = 0;
    return 0;
}

/* There is room: looked at for a whole record before. */
static void append(struct pcap_output *output, const void *bytes, size_t bytes_count)
{
    memcpy(output->buffer + output->buffered_bytes, bytes, bytes_count);
    output->buffered_bytes += bytes_count;
    output->now.bytes += bytes_count;
    counter_add(&output->written_bytes, bytes_count);
}

static int file_open(struct pcap_output *output)
{
    char path[PATH_MAX];

    output->is_headed = false;
    output->flushed_bytes = 0;
    output->interfaces_count = output->interfaces_flushed = 0;
    output->now = (struct pcap_segment){.number = output->now.number};
    counter_set(&output->number, output->now.number);
    output->now_packets = 0;
    if (strcmp(output->settings.path, "-") == 0) {
        output->fd = STDOUT_FILENO;
        counter_add(&output->files, 1);
        return 0;
    }
    do {
        output->fd = open(path_now(output, path, sizeof path),
                          O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    } while (output->fd < 0 && is_disk_full(errno) && delete_oldest(output));
    if (output->fd < 0) {
        const int code = errno;
        return is_disk_trouble(code) && counter_get(&output->files) > 0
                   ? wait_for_disk(output, code)
                   : fail(output, "open", code);
    }
    struct stat status;

    output->recovers = fstat(output->fd, &status) == 0 && S_ISREG(status.st_mode);
    counter_add(&output->files, 1);
    return 0;
}

static void file_close(struct pcap_output *output)
{
    if (output->fd < 0) {
        return;
    }
    if (!atomic_load_explicit(&output->is_failed, memory_order_relaxed)) {
        (void)flush_buffer(output);
    }
    if (output->fd != STDOUT_FILENO && close(output->fd) != 0) {
        (void)fail(output, "close", errno);
    }
    output->fd = -1;
}

static int rotate(struct pcap_output *output)
{
    file_close(output);
    if (atomic_load_explicit(&output->is_failed, memory_order_relaxed)) {
        return -EIO;
    }
    if (pcap_segments_add(&output->closed, &output->now) != 0) {
        return fail(output, "remember", ENOMEM);
    }
    output->now.bytes = 0;
    prune(output);
    if (output->closed.count == PCAP_SEGMENTS_MAX) { /* none could be deleted */
        return fail(output, "rotate", EOVERFLOW);
    }
    output->now.number = pcap_segments_next(&output->closed, output->now.number);
    return file_open(output);
}

/* ---- packets --------------------------------------------------------------------------------- */

static void head_write(struct pcap_output *output)
{
    uint8_t head[PCAP_FORMAT_BYTES_MAX];

    output->is_headed = true;
    append(output, head,
           output->is_pcapng
               ? pcapng_format_section(head)
               : pcap_format_file(output->settings.is_nanosecond, output->link_type, head));
}

/* Number of the frame's interface in this file, told to it first; UINT32_MAX: too many. */
static uint32_t interface_of(struct pcap_output *output, const struct frame *frame)
{
    uint32_t i = 0;

    while (i < output->interfaces_count && (output->interfaces[i].link_type != frame->link_type ||
                                            output->interfaces[i].interface != frame->interface)) {
        i++;
    }
    if (i == PCAP_OUTPUT_INTERFACES_MAX) {
        return UINT32_MAX;
    }
    if (i == output->interfaces_count) {
        uint8_t block[PCAP_FORMAT_BYTES_MAX];
        char name[PCAP_FORMAT_NAME_MAX] = "";

        if (output->settings.name_of != NULL) {
            output->settings.name_of(output->settings.name_context, frame->interface, name,
                                     sizeof name);
        }
        output->interfaces[i].link_type = frame->link_type;
        output->interfaces[i].interface = frame->interface;
        output->interfaces_count++;
        append(output, block,
               pcapng_format_interface(frame->link_type, PCAP_FORMAT_FRAME_MAX, name, block));
    }
    return i;
}

/* The packet into the buffer. False: this file cannot hold it. */
static bool frame_write(struct pcap_output *output, const struct frame *frame)
{
    uint8_t around[PCAP_FORMAT_BYTES_MAX];

    if (!output->is_pcapng) {
        if (frame->link_type != output->link_type) {
            return false;
        }
        append(output, around,
               pcap_format_record(output->settings.is_nanosecond, frame->time_ns,
                                  frame->captured_bytes, frame->wire_bytes, around));
        append(output, frame->bytes, frame->captured_bytes);
        return true;
    }
    const uint32_t interface = interface_of(output, frame);
    if (interface == UINT32_MAX) {
        return false;
    }
    append(output, around,
           pcapng_format_packet(interface, frame->time_ns, frame->captured_bytes, frame->wire_bytes,
                                around));
    append(output, frame->bytes, frame->captured_bytes);
    append(output, around, pcapng_format_packet_end(frame->captured_bytes, around));
    return true;
}

/* The segment has had its time, its packets, or would become too large. */
static bool wants_rotation(const struct pcap_output *output, const struct frame *frame)
{
    const struct pcap_writer_settings *settings = &output->settings;
    const struct pcap_segment *now = &output->now;
    const uint64_t record =
        (output->is_pcapng ? 35U : 16U) + (uint64_t)frame->captured_bytes; /* at most */

    if (output->now_packets == 0) {
        return false;
    }
    return (settings->rotate_bytes > 0 && now->bytes + record > settings->rotate_bytes) ||
           (settings->rotate_packets > 0 && output->now_packets >= settings->rotate_packets) ||
           (settings->rotate_ns > 0 && frame->time_ns >= now->first_ns &&
            frame->time_ns - now->first_ns >= settings->rotate_ns);
}

/* An open file with room in the buffer for a head, an interface and the packet. */
static int make_ready(struct pcap_output *output, const struct frame *frame)
{
    const size_t needed = 4 * (size_t)PCAP_FORMAT_BYTES_MAX + frame->captured_bytes;

    if (output->fd < 0) {
        const int status = file_open(output);
        if (status != 0) {
            return status;
        }
    }
    if (pcap_writer_has_segments(&output->settings) && wants_rotation(output, frame)) {
        const int status = rotate(output);
        if (status != 0) {
            return status;
        }
    }
    return needed > BUFFER_BYTES - output->buffered_bytes ? flush_buffer(output) : 0;
}

void pcap_output_put(struct pcap_output *output, const struct frame *frame)
{
    if (output->retry_ns != 0 && clock_monotonic_ns() < output->retry_ns) {
        counter_add(lost_by(output, (int)counter_get(&output->trouble)), 1);
        return;
    }
    output->retry_ns = 0;
    if (atomic_load_explicit(&output->is_failed, memory_order_relaxed) ||
        make_ready(output, frame) != 0) {
        counter_add(output->retry_ns != 0 ? lost_by(output, (int)counter_get(&output->trouble))
                                          : &output->failed,
                    1);
        return;
    }
    if (!output->is_headed) {
        if (output->link_type == PCAP_WRITER_LINK_OF_FIRST) {
            output->link_type = frame->link_type;
        }
        head_write(output);
    }
    if (!frame_write(output, frame)) {
        counter_add(&output->link_type_refused, 1);
        return;
    }
    counter_add(&output->written, 1);
    output->buffered_packets++;
    if (output->now_packets++ == 0) {
        output->now.first_ns = frame->time_ns;
        tell_oldest(output);
    }
    if (frame->time_ns > output->now.last_ns) {
        output->now.last_ns = frame->time_ns;
    }
    if (frame->time_ns > output->newest_ns) {
        output->newest_ns = frame->time_ns;
    }
    if (output->settings.bytes_max > 0) {
        prune(output);
    }
}

void pcap_output_flush(struct pcap_output *output)
{
    if (output->buffered_bytes > 0 && output->fd >= 0 &&
        !atomic_load_explicit(&output->is_failed, memory_order_relaxed)) {
        (void)flush_buffer(output); /* the fault is kept and told by offer and close */
    }
}

void pcap_output_close(struct pcap_output *output)
{
    if (output->fd >= 0 && !output->is_headed && output->buffered_bytes == 0 &&
        !atomic_load_explicit(&output->is_failed, memory_order_relaxed)) {
        if (output->link_type == PCAP_WRITER_LINK_OF_FIRST) {
            output->link_type = LINK_ETHERNET; /* no packet came: an empty, valid file */
        }
        head_write(output);
    }
    file_close(output);
}

/* ---- life ------------------------------------------------------------------------------------ */

int pcap_output_check(const struct pcap_writer_settings *settings, struct error *err)
{
    const char *path = settings->path;

    if (path == NULL || path[0] == '\0') {
        return error_set(err, EINVAL, "write-pcap: no path is given");
    }
    if (pcap_writer_has_segments(settings) && settings->files_max == 0 &&
        settings->bytes_max == 0) {
        return error_set(err, EINVAL,
                         "%s: rotation needs a bound, or the disk fills: a number of files "
                         "(write-pcap-max-files) or a size of all (write_pcap_max_size)",
                         path);
    }
    if (!pcap_writer_has_segments(settings) &&
        (settings->files_max > 0 || settings->bytes_max > 0)) {
        return error_set(err, EINVAL,
                         "%s: what to keep is told, and not when a segment ends: give a size "
                         "(write-pcap-rotate-mb), a time, a number of packets or a ring's minutes "
                         "(write_pcap_keep)",
                         path);
    }
    if (pcap_writer_has_segments(settings) && strcmp(path, "-") == 0) {
        return error_set(err, EINVAL, "standard output cannot be rotated: name a file");
    }
    if (strlen(path) + 16 > PATH_MAX) {
        return error_set(err, ENAMETOOLONG, "%s: path is too long", path);
    }
    return 0;
}

static bool is_pcapng_path(const char *path)
{
    const size_t length = strlen(path);

    return length > 7 && strcmp(path + length - 7, ".pcapng") == 0;
}

bool pcap_output_is_pcapng(const struct pcap_writer_settings *settings)
{
    return settings->format == PCAP_WRITER_PCAPNG ||
           (settings->format == PCAP_WRITER_BY_PATH && is_pcapng_path(settings->path));
}

int pcap_output_init(struct pcap_output *output, const struct pcap_writer_settings *settings,
                     struct error *err)
{
    *output = (struct pcap_output){.settings = *settings, .fd = -1};
    struct pcap_writer_settings *ours = &output->settings;
    int status = pcap_output_check(settings, err);

    ours->path = status == 0 ? strdup(settings->path) : NULL;
    if (status != 0) {
        return status;
    }
    output->buffer = malloc(BUFFER_BYTES);
    if (ours->path == NULL || output->buffer == NULL) {
        return error_set(err, ENOMEM, "%s: out of memory", settings->path);
    }
    /* The oldest segment of a ring goes as a whole: it holds at most an eighth more. */
    if (ours->keep_ns > 0 && ours->rotate_ns == 0) {
        ours->rotate_ns = ours->keep_ns / SEGMENTS_OF_RING + 1;
    }
    if (ours->bytes_max > 0 && ours->rotate_bytes == 0) {
        ours->rotate_bytes = ours->bytes_max / SEGMENTS_OF_RING + 1;
    }
    output->is_pcapng = pcap_output_is_pcapng(ours);
    output->link_type = ours->link_type;
    uint32_t last = 0;

    if (ours->keep_ns > 0) { /* a ring goes on where the run before left it */
        status = pcap_segments_find(&output->closed, ours->path, &last, err);
        if (status != 0) {
            return status;
        }
    }
    prune(output);
    if (output->closed.count >= PCAP_SEGMENTS_MAX) {
        return error_set(err, EOVERFLOW, "%s: too many segments are there", ours->path);
    }
    output->now.number = pcap_segments_next(&output->closed, last);
    status = file_open(output);
    tell_oldest(output);
    return status == 0 ? 0 : error_set(err, output->fault.code, "%s", output->fault.message);
}

void pcap_output_fini(struct pcap_output *output)
{
    if (output->fd >= 0 && output->fd != STDOUT_FILENO) {
        (void)close(output->fd);
    }
    pcap_segments_fini(&output->closed);
    free(output->buffer);
    free((char *)(uintptr_t)output->settings.path);
}

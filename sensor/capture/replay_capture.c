/* Capture files as one capture, in the order of time: the same input gives the same output.
 *
 * One file is read straight through. Of several, each is looked at once for the time of its first
 * packet; then a file is open from that time on, and of the open ones the frame with the smallest
 * time is next. Within a file the order stays as it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sensor/capture/capture.h"
#include "sensor/capture/file_input.h"
#include "sensor/capture/file_list.h"

#define BLOCK_BYTES        (64U << 10) /* stays near; 1 MiB costs 3 % more CPU, for small packets */
#define BLOCK_BYTES_MERGED (256U << 10)
#define BLOCK_BYTES_PROBED (64U << 10)
/* Files that overlap in time and are open at once; a further one waits, and comes too late. */
#define OPEN_MAX 256

/* A file by its place in time. */
struct waiting_file {
    char *path; /* owned by the list */
    uint64_t first_ns;
    uint64_t bytes;           /* 0: unknown */
    uint32_t place;           /* in the list */
    struct file_input *input; /* open already: what cannot be opened twice */
};

struct open_file {
    struct file_input *input;
    uint32_t place; /* in time; settles equal times */
};

struct capture {
    struct file_list list;
    struct link_filters *filters;
    struct name_table *names; /* borrowed; may be NULL */
    bool is_libpcap_forced;
    const atomic_bool *stop;
    bool is_nanosecond; /* any file */
    struct waiting_file *waiting;
    uint32_t waiting_next;
    struct open_file open[OPEN_MAX]; /* a heap by next_ns and place */
    uint32_t open_count;
    uint64_t bytes_total;
    struct capture_progress progress; /* sums: of the files that are done */
    bool has_total;
};

/* ---- heap ---- */

static bool is_before(const struct open_file *a, const struct open_file *b)
{
    return a->input->next_ns != b->input->next_ns ? a->input->next_ns < b->input->next_ns
                                                  : a->place < b->place;
}

static void swap_open(struct capture *capture, uint32_t a, uint32_t b)
{
    const struct open_file kept = capture->open[a];

    capture->open[a] = capture->open[b];
    capture->open[b] = kept;
}

static void sift_down(struct capture *capture)
{
    for (uint32_t at = 0;;) {
        uint32_t least = at;

        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < capture->open_count;
             child++) {
            if (is_before(&capture->open[child], &capture->open[least])) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        swap_open(capture, at, least);
        at = least;
    }
}

static void sift_up(struct capture *capture, uint32_t at)
{
    while (at > 0 && is_before(&capture->open[at], &capture->open[(at - 1) / 2])) {
        swap_open(capture, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

/* ---- opening ---- */

static struct file_input *input_new(const struct capture *capture, char *path, uint32_t block_bytes)
{
    struct file_input *input = calloc(1, sizeof *input);

    if (input != NULL) {
        input->path = path;
        input->reader.source.fd = -1;
        input->reader.filters = capture->filters;
        input->reader.names = capture->names;
        input->reader.block_bytes = block_bytes;
        input->reader.stop = capture->stop;
    }
    return input;
}

static void input_free(struct file_input *input)
{
    if (input != NULL) {
        file_input_close(input);
        free(input);
    }
}

/* Ends the file at the top of the heap. */
static void end_top(struct capture *capture)
{
    struct file_input *input = capture->open[0].input;
    struct capture_progress *progress = &capture->progress;
    const uint64_t bytes = capture->waiting[capture->open[0].place].bytes;

    progress->packets_read += input->reader.packets_read;
    progress->kernel_dropped += input->reader.kernel_dropped;
    progress->interface_dropped += input->reader.interface_dropped;
    /* What lies behind a fault is done, too. */
    progress->bytes_read +=
        input->reader.source.bytes_read > bytes ? input->reader.source.bytes_read : bytes;
    progress->files_done++;
    progress->reader = input->ops->name;
    progress->link_type = input->reader.link_type;
    progress->path = file_input_name(input->path);
    input_free(input);
    capture->open[0] = capture->open[--capture->open_count];
    sift_down(capture);
}

static void push_open(struct capture *capture, struct file_input *input, uint32_t place)
{
    capture->open[capture->open_count] = (struct open_file){input, place};
    sift_up(capture, capture->open_count++);
}

/* Opens the file that is next in time. */
static int open_next(struct capture *capture, uint32_t block_bytes, struct error *err)
{
    const uint32_t place = capture->waiting_next++;
    struct waiting_file *waiting = &capture->waiting[place];
    struct file_input *input = waiting->input;
    int status = 0;

    if (input == NULL) {
        input = input_new(capture, waiting->path, block_bytes);
        status = input == NULL ? error_set(err, ENOMEM, "out of memory")
                               : file_input_open(input, capture->is_libpcap_forced, err);
    }
    waiting->input = NULL;
    if (status != 0) {
        input_free(input);
        capture->progress.files_done++;
        capture->progress.bytes_read += waiting->bytes;
        return status;
    }
    if (input->next_ns == 0) {
        input->next_ns = waiting->first_ns;
    }
    capture->is_nanosecond |= input->reader.is_nanosecond;
    push_open(capture, input, place);
    return 0;
}

/* Looks at one of several files: when it begins, and whether the filter can be asked. What cannot
 * be opened again stays open. */
static int probe(struct capture *capture, struct waiting_file *waiting,
                 struct link_filters *no_filter, struct error *err)
{
    struct stat info;
    const bool is_there = stat(waiting->path, &info) == 0;
    const bool is_regular = is_there && S_ISREG(info.st_mode);
    struct file_input *input =
        input_new(capture, waiting->path, is_regular ? BLOCK_BYTES_PROBED : BLOCK_BYTES_MERGED);
    const struct bpf_program *unused;

    waiting->first_ns = UINT64_MAX; /* a file with a fault, or without packets, is the last */
    if (input == NULL) {
        return error_set(err, ENOMEM, "out of memory");
    }
    if (is_regular) {
        input->reader.filters = no_filter;
        input->reader.names = NULL;
        waiting->bytes = (uint64_t)info.st_size;
        capture->bytes_total += waiting->bytes;
    } else if (is_there || strcmp(waiting->path, "-") == 0) {
        capture->has_total = false;
    }
    int status = file_input_open(input, capture->is_libpcap_forced, err);

    if (status == 0 && is_regular) {
        status = link_filters_program(capture->filters, input->reader.link_type, &unused, err);
        if (status != 0) {
            error_prefix(err, "%s", waiting->path);
        }
    }
    if (status == 0 && file_input_fill(input, NULL) == 1) {
        waiting->first_ns = input->next_ns;
        capture->is_nanosecond |= input->reader.is_nanosecond;
    }
    if (status != 0 || is_regular) {
        input_free(input);
    } else {
        waiting->input = input;
    }
    return status;
}

static int by_time(const void *a, const void *b)
{
    const struct waiting_file *left = a, *right = b;

    if (left->first_ns != right->first_ns) {
        return left->first_ns < right->first_ns ? -1 : 1;
    }
    return left->place < right->place ? -1 : 1;
}

/* A file with a fault tells it again when its turn comes; here it counts only if all have one, and
 * a filter that cannot be asked ends the attempt. */
static int probe_all(struct capture *capture, struct error *err)
{
    struct link_filters *no_filter = link_filters_new(NULL, err);
    struct error first = {0};
    uint32_t good = 0;

    if (no_filter == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < capture->list.count; i++) {
        struct error fault = {0};
        const int status = probe(capture, &capture->waiting[i], no_filter, &fault);

        if (status == -EINVAL || status == -ENOMEM) {
            link_filters_free(no_filter);
            return error_set(err, -status, "%s", fault.message);
        }
        good += status == 0;
        if (status != 0 && first.code == 0) {
            first = fault;
        }
    }
    link_filters_free(no_filter);
    if (good == 0) {
        return error_set(err, first.code, "%s", first.message);
    }
    qsort(capture->waiting, capture->list.count, sizeof(capture->waiting[0]), by_time);
    return 0;
}

static int open_single(struct capture *capture, struct error *err)
{
    const int status = open_next(capture, BLOCK_BYTES, err);

    if (status == 0) {
        const struct byte_source *source = &capture->open[0].input->reader.source;

        capture->bytes_total = source->bytes_total;
        capture->has_total = source->is_regular;
    }
    return status;
}

static int prepare(struct capture *capture, const struct capture_settings *settings,
                   struct error *err)
{
    capture->names = settings->names;
    capture->is_libpcap_forced = settings->is_libpcap_forced;
    capture->stop = settings->stop;
    capture->has_total = true;
    capture->filters = link_filters_new(settings->filter, err);
    if (capture->filters == NULL) {
        return -ENOMEM;
    }
    const int status =
        file_list_expand(&capture->list, settings->read_paths, settings->read_paths_count, err);

    if (status != 0) {
        return status;
    }
    capture->progress.files_total = capture->list.count;
    capture->progress.path = file_input_name(capture->list.paths[0]);
    capture->progress.reader = "none";
    capture->waiting = calloc(capture->list.count, sizeof(capture->waiting[0]));
    if (capture->waiting == NULL) {
        return error_set(err, ENOMEM, "out of memory");
    }
    for (uint32_t i = 0; i < capture->list.count; i++) {
        capture->waiting[i] = (struct waiting_file){.path = capture->list.paths[i], .place = i};
    }
    return capture->list.count == 1 ? open_single(capture, err) : probe_all(capture, err);
}

struct capture *capture_open_file(const struct capture_settings *settings, struct error *err)
{
    if (settings->read_paths_count == 0) {
        error_set(err, EINVAL, "no capture file is named");
        return NULL;
    }
    struct capture *capture = calloc(1, sizeof *capture);
    if (capture == NULL) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    if (prepare(capture, settings, err) != 0) {
        capture_close(capture);
        return NULL;
    }
    return capture;
}

uint64_t capture_input_bytes(const struct capture_settings *settings)
{
    struct file_list list;
    uint64_t sum = 0;

    if (file_list_expand(&list, settings->read_paths, settings->read_paths_count, NULL) != 0) {
        return UINT64_MAX;
    }
    for (uint32_t i = 0; i < list.count && sum != UINT64_MAX; i++) {
        struct byte_source source = {.fd = -1};
        struct stat info;
        /* A pipe is opened once: who writes to it must not see it close in between. */
        const bool is_known = stat(list.paths[i], &info) == 0 && S_ISREG(info.st_mode) &&
                              byte_source_open(&source, list.paths[i], NULL) == 0 &&
                              source.is_regular && byte_source_peek(&source, NULL) == 0 &&
                              source.decoder == NULL;

        sum = is_known ? sum + source.bytes_total : UINT64_MAX;
        byte_source_close(&source);
    }
    file_list_fini(&list);
    return sum;
}

bool capture_any_file(const struct capture_settings *settings,
                      bool (*is_it)(void *context, const char *path, const struct stat *info),
                      void *context)
{
    struct file_list list;
    struct stat info;
    bool is_found = false;

    if (file_list_expand(&list, settings->read_paths, settings->read_paths_count, NULL) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < list.count && !is_found; i++) {
        const char *path = list.paths[i];
        const int status = strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, &info) : stat(path, &info);

        is_found = status == 0 && S_ISREG(info.st_mode) && is_it(context, path, &info);
    }
    file_list_fini(&list);
    return is_found;
}

/* ---- reading ---- */

static int32_t read_single(struct capture *capture, struct frame *frames, uint32_t frames_max,
                           struct error *err)
{
    if (capture->open_count == 0) {
        return 0;
    }
    const int32_t got = file_input_read(capture->open[0].input, frames, frames_max, err);

    if (got <= 0 && got != -EAGAIN) {
        end_top(capture);
    }
    return got;
}

static bool is_next_due(const struct capture *capture)
{
    return capture->waiting_next < capture->list.count && capture->open_count < OPEN_MAX &&
           (capture->open_count == 0 ||
            capture->waiting[capture->waiting_next].first_ns <= capture->open[0].input->next_ns);
}

/* 1: the top of the heap has the next frame; 0: the end of all; -EAGAIN; -errno. Frames handed over
 * before die. */
static int settle_top(struct capture *capture, struct error *err)
{
    for (;;) {
        int status;

        if (is_next_due(capture)) {
            status = open_next(capture, BLOCK_BYTES_MERGED, err);
            if (status != 0) {
                return status;
            }
            continue;
        }
        if (capture->open_count == 0) {
            return 0;
        }
        struct file_input *input = capture->open[0].input;

        if (input->at < input->count) {
            return 1;
        }
        status = file_input_fill(input, err);
        if (status == -EAGAIN) {
            return status;
        }
        if (status == 1) {
            sift_down(capture);
            continue;
        }
        end_top(capture);
        if (status < 0) {
            return status;
        }
    }
}

static int32_t read_merged(struct capture *capture, struct frame *frames, uint32_t frames_max,
                           struct error *err)
{
    uint32_t count = 0;
    const int status = settle_top(capture, err);

    if (status != 1) {
        return status;
    }
    /* Until a file must be read or opened, which moves what its frames point to. */
    while (count < frames_max && capture->open_count > 0 && !is_next_due(capture)) {
        struct file_input *input = capture->open[0].input;

        if (input->at == input->count) {
            break;
        }
        frames[count++] = input->frames[input->at];
        file_input_advance(input);
        sift_down(capture);
    }
    return (int32_t)count;
}

int32_t capture_next_batch(struct capture *capture, struct frame *frames, uint32_t frames_max,
                           struct error *err)
{
    const int32_t got = capture->list.count == 1 ? read_single(capture, frames, frames_max, err)
                                                 : read_merged(capture, frames, frames_max, err);

    if (got > 0) {
        capture->progress.packets_passed += (uint32_t)got;
    }
    return got;
}

void capture_progress_read(const struct capture *capture, struct capture_progress *out)
{
    *out = capture->progress;
    out->bytes_total = capture->has_total ? capture->bytes_total : 0;
    out->is_nanosecond = capture->is_nanosecond;
    for (uint32_t i = 0; i < capture->open_count; i++) {
        const struct file_reader *reader = &capture->open[i].input->reader;

        out->packets_read += reader->packets_read;
        out->kernel_dropped += reader->kernel_dropped;
        out->interface_dropped += reader->interface_dropped;
        out->bytes_read += reader->source.bytes_read;
    }
    if (capture->open_count > 0) {
        const struct file_input *input = capture->open[0].input;

        out->path = file_input_name(input->path);
        out->reader = input->ops->name;
        out->link_type = input->reader.link_type;
    }
}

void capture_close(struct capture *capture)
{
    if (capture == NULL) {
        return;
    }
    while (capture->open_count > 0) {
        input_free(capture->open[--capture->open_count].input);
    }
    for (uint32_t i = 0; capture->waiting != NULL && i < capture->list.count; i++) {
        input_free(capture->waiting[i].input);
    }
    free(capture->waiting);
    file_list_fini(&capture->list);
    link_filters_free(capture->filters);
    free(capture);
}

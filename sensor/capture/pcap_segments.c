#include "sensor/capture/pcap_segments.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"

#define NUMBER_DIGITS 6
#define FIRST_ROOM    64

/* How much of "dir/capture.pcap" stands before the number. */
static size_t stem_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash == NULL ? path : slash, '.');

    return dot != NULL && dot != path && dot[-1] != '/' ? (size_t)(dot - path) : strlen(path);
}

void pcap_segment_path(const char *path, uint32_t number, char *out, size_t out_bytes)
{
    const size_t stem = stem_bytes(path);

    (void)snprintf(out, out_bytes, "%.*s.%06u%s", (int)stem, path, number, path + stem);
}

bool pcap_segment_is_name(const char *path, const char *name)
{
    const size_t stem = stem_bytes(path);

    return strncmp(name, path, stem) == 0 && name[stem] == '.' &&
           strspn(name + stem + 1, "0123456789") == NUMBER_DIGITS &&
           strcmp(name + stem + 1 + NUMBER_DIGITS, path + stem) == 0;
}

void pcap_segments_fini(struct pcap_segments *segments)
{
    free(segments->list);
    *segments = (struct pcap_segments){0};
}

static struct pcap_segment *at(const struct pcap_segments *segments, uint32_t i)
{
    return &segments->list[(segments->first + i) % segments->room];
}

int pcap_segments_add(struct pcap_segments *segments, const struct pcap_segment *segment)
{
    if (segments->count == segments->room) {
        const uint32_t room = segments->room == 0 ? FIRST_ROOM : 2 * segments->room;
        struct pcap_segment *more = calloc(room, sizeof *more);

        if (more == NULL) {
            return -ENOMEM;
        }
        for (uint32_t i = 0; i < segments->count; i++) {
            more[i] = *at(segments, i);
        }
        free(segments->list);
        segments->list = more;
        segments->room = room;
        segments->first = 0;
    }
    *at(segments, segments->count) = *segment;
    segments->count++;
    segments->bytes += segment->bytes;
    return 0;
}

const struct pcap_segment *pcap_segments_oldest(const struct pcap_segments *segments)
{
    return segments->count == 0 ? NULL : at(segments, 0);
}

void pcap_segments_drop_oldest(struct pcap_segments *segments)
{
    segments->bytes -= at(segments, 0)->bytes;
    segments->first = (segments->first + 1) % segments->room;
    segments->count--;
}

static bool has(const struct pcap_segments *segments, uint32_t number)
{
    for (uint32_t i = 0; i < segments->count; i++) {
        if (at(segments, i)->number == number) {
            return true;
        }
    }
    return false;
}

uint32_t pcap_segments_next(const struct pcap_segments *segments, uint32_t number)
{
    assert(segments->count < PCAP_SEGMENTS_MAX);
    do {
        number = number < PCAP_SEGMENTS_MAX ? number + 1 : 1;
    } while (has(segments, number));
    return number;
}

/* ---- what an earlier run left ---- */

static int by_age(const void *a, const void *b)
{
    const struct pcap_segment *x = a, *y = b;

    if (x->last_ns != y->last_ns) {
        return x->last_ns < y->last_ns ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static int add_of(struct pcap_segments *segments, DIR *directory, const char *path)
{
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat status;

        if (!pcap_segment_is_name(path, entry->d_name) ||
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(status.st_mode)) {
            continue;
        }
        const uint64_t written_ns =
            (uint64_t)status.st_mtim.tv_sec * NS_PER_SEC + (uint64_t)status.st_mtim.tv_nsec;
        const struct pcap_segment segment = {
            .number = (uint32_t)strtoul(entry->d_name + stem_bytes(path) + 1, NULL, 10),
            .bytes = (uint64_t)status.st_size,
            .first_ns = written_ns,
            .last_ns = written_ns};

        if (pcap_segments_add(segments, &segment) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

int pcap_segments_find(struct pcap_segments *segments, const char *path, uint32_t *last,
                       struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? strdup(".")
                   : slash == path ? strdup("/")
                                   : strndup(path, (size_t)(slash - path));
    DIR *directory = folder == NULL ? NULL : opendir(folder);

    *last = 0;
    if (directory == NULL) {
        const int code = folder == NULL ? ENOMEM : errno;

        (void)error_set(err, code, "look for segments in %s: %s", folder == NULL ? path : folder,
                        strerror(code));
        free(folder);
        return -code;
    }
    const int status = add_of(segments, directory, slash == NULL ? path : slash + 1);

    (void)closedir(directory);
    free(folder);
    if (status != 0) {
        return error_set(err, ENOMEM, "%s: no memory for what is there", path);
    }
    if (segments->count > 0) { /* nothing was dropped so far: they stand from the list's begin on */
        qsort(segments->list, segments->count, sizeof(*segments->list), by_age);
        *last = at(segments, segments->count - 1)->number;
    }
    return 0;
}

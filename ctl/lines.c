#include "ctl/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/stop.h"

int lines_open(struct lines *lines, const char *path, struct error *err)
{
    *lines = (struct lines){.fd = STDIN_FILENO};
    if (strcmp(path, "-") != 0) {
        lines->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (lines->fd < 0) {
            return error_set(err, errno, "--input-file %s: %s", path, strerror(errno));
        }
    }
    lines->bytes = malloc(LINE_BYTES_MAX);
    return lines->bytes != NULL ? 0 : error_set(err, ENOMEM, "no memory for lines");
}

void lines_close(struct lines *lines)
{
    if (lines->fd > STDIN_FILENO) {
        (void)close(lines->fd);
    }
    lines->fd = -1;
    free(lines->bytes);
    lines->bytes = NULL;
}

/* More bytes behind those that are there. False: there are none. */
static bool fill(struct lines *lines)
{
    struct pollfd wait[] = {{.fd = lines->fd, .events = POLLIN},
                            {.fd = stop_fd(), .events = POLLIN}};

    memmove(lines->bytes, lines->bytes + lines->begin, lines->end - lines->begin);
    lines->end -= lines->begin;
    lines->begin = 0;
    while (!stop_is_wanted()) {
        (void)poll(wait, 2, -1);
        if (wait[0].revents == 0) {
            continue;
        }
        const ssize_t got = read(lines->fd, lines->bytes + lines->end, LINE_BYTES_MAX - lines->end);

        if (got > 0) {
            lines->end += (size_t)got;
            return true;
        }
        if (got == 0) {
            return false;
        }
        if (errno != EINTR) {
            (void)error_set(&lines->failure, errno, "--input-file: %s", strerror(errno));
            return false;
        }
    }
    return false;
}

bool lines_next(struct lines *lines, const char **line, size_t *length)
{
    bool is_over_long = false;
    size_t looked = 0;

    while (!stop_is_wanted()) {
        char *const begin = lines->bytes + lines->begin;
        const size_t there = lines->end - lines->begin;
        const char *mark = memchr(begin + looked, '\n', there - looked);

        if (mark != NULL || (lines->is_ended && there > 0)) {
            *line = begin;
            *length = mark != NULL ? (size_t)(mark - begin) : there;
            lines->begin += *length + (mark != NULL);
            *length = is_over_long ? SIZE_MAX : *length;
            lines->number++;
            return true;
        }
        if (lines->is_ended) {
            return false;
        }
        looked = there;
        if (there == LINE_BYTES_MAX) {
            is_over_long = true;
            lines->begin = lines->end;
            looked = 0;
        }
        lines->is_ended = !fill(lines);
    }
    return false;
}

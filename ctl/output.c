#include "ctl/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/show.h"
#include "ctl/stop.h"

#define TELL_BYTES 1200

void output_standard(struct output *output, const char *colour)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    *output = (struct output){.fd = STDOUT_FILENO};
    if (strcmp(colour, "auto") == 0) {
        output->has_colour = isatty(STDOUT_FILENO) == 1 &&
                             (no_colour == NULL || no_colour[0] == '\0') &&
                             (terminal == NULL || strcmp(terminal, "dumb") != 0);
    } else {
        output->has_colour = strcmp(colour, "always") == 0;
    }
}

int output_file(struct output *output, const char *path, struct error *err)
{
    *output = (struct output){.fd = STDOUT_FILENO};
    if (strcmp(path, "-") == 0) {
        return 0;
    }
    output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    output->is_owned = output->fd >= 0;
    return output->fd >= 0 ? 0 : error_set(err, errno, "%s: %s", path, strerror(errno));
}

/* All of it, or the output is closed. */
static void send_all(struct output *output, const char *bytes, size_t length)
{
    while (length > 0 && !output->is_closed) {
        const ssize_t written = write(output->fd, bytes, length);

        if (written >= 0) {
            bytes += written;
            length -= (size_t)written;
        } else if (errno == EINTR) {
            output->is_closed = stop_is_wanted();
        } else {
            output->is_closed = true;
            if (errno != EPIPE) {
                (void)error_set(&output->failure, errno, "cannot write: %s", strerror(errno));
            }
        }
    }
}

void output_flush(struct output *output)
{
    send_all(output, output->bytes, output->length);
    output->length = 0;
}

void output_write(struct output *output, const void *bytes, size_t length)
{
    if (length > sizeof(output->bytes) - output->length) {
        output_flush(output);
    }
    if (length > sizeof(output->bytes)) {
        send_all(output, bytes, length);
        return;
    }
    memcpy(output->bytes + output->length, bytes, length);
    output->length += length;
}

bool output_is_open(const struct output *output)
{
    return !output->is_closed;
}

unsigned output_width(const struct output *output)
{
    struct winsize size = {0};

    return isatty(output->fd) == 1 && ioctl(output->fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int output_close(struct output *output, struct error *err)
{
    output_flush(output);
    if (output->is_owned && close(output->fd) != 0 && output->failure.code == 0) {
        (void)error_set(&output->failure, errno, "cannot write: %s", strerror(errno));
    }
    output->fd = -1;
    if (output->failure.code != 0 && err != NULL) {
        *err = output->failure;
    }
    return -output->failure.code;
}

void tell(const char *format, ...)
{
    char text[TELL_BYTES];
    char safe[2 * TELL_BYTES];
    struct show show = SHOW_OVER(safe);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    safe[0] = '\0';
    show_sentence(&show, text);
    (void)fprintf(stderr, "netscopectl: %s\n", safe);
}

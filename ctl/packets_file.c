#include "ctl/packets_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct output output; /* large */

int packets_file_check(const char *path, struct error *err)
{
    if ((path == NULL || strcmp(path, "-") == 0) && isatty(STDOUT_FILENO) == 1) {
        return error_set(
            err, EINVAL,
            "packets are no text for a terminal: give -w FILE, or | wireshark -k -i -");
    }
    return 0;
}

void packets_file_init(struct packets_file *file, const char *path)
{
    *file = (struct packets_file){.path = path != NULL ? path : "-"};
    output = (struct output){.fd = -1};
}

struct output *packets_file_output(struct packets_file *file)
{
    (void)file;
    return &output;
}

const char *packets_file_name(const struct packets_file *file)
{
    return strcmp(file->path, "-") == 0 ? "standard output" : file->path;
}

void packets_file_put(struct packets_file *file, struct record_text chunk)
{
    if (chunk.length == 0) {
        return;
    }
    if (!file->is_open) {
        file->is_open = output_file(&output, file->path, &file->failure) == 0;
        output.is_closed = !file->is_open;
    }
    if (file->is_open) {
        output_write(&output, chunk.data, chunk.length);
        output_flush(&output);
        file->bytes += chunk.length;
    }
}

enum ctl_exit packets_file_close(struct packets_file *file, enum ctl_exit status, struct error *err)
{
    struct error closing = {0};

    if (file->failure.code != 0) {
        *err = file->failure;
        return CTL_FAILED;
    }
    if (file->is_open && output_close(&output, &closing) != 0) {
        (void)error_set(err, closing.code, "%s: %s", file->path, closing.message);
        return CTL_FAILED;
    }
    return status;
}

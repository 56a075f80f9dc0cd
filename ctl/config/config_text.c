#include "ctl/config/config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/wire_format.h"
#include "proto/json/descriptor_index.h"

#define OVERHEAD_BYTES 32 /* of a field's tag and length */

static int read_all(struct config_text *text, int fd, const char *path, struct error *err)
{
    ssize_t got;

    do {
        got = read(fd, text->text + text->length, CONFIG_TEXT_BYTES + 1 - text->length);
        text->length += got > 0 ? (size_t)got : 0;
    } while ((got > 0 && text->length <= CONFIG_TEXT_BYTES) || (got < 0 && errno == EINTR));
    if (got < 0) {
        return error_set(err, errno, "%s: %s", path, strerror(errno));
    }
    if (text->length > CONFIG_TEXT_BYTES) {
        return error_set(err, EFBIG, "%s: settings of more than %zu bytes", path,
                         CONFIG_TEXT_BYTES);
    }
    if (text->length == 0) {
        return error_set(err, EINVAL, "%s: it is empty", path);
    }
    return 0;
}

int config_text_read(struct config_text *text, const char *path, struct error *err)
{
    const bool is_input = strcmp(path, "-") == 0;
    const int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

    *text = (struct config_text){0};
    if (fd < 0) {
        return error_set(err, errno, "%s: %s", path, strerror(errno));
    }
    text->text = malloc(CONFIG_TEXT_BYTES + 1);
    const int result = text->text == NULL ? error_set(err, ENOMEM, "no memory for settings")
                                          : read_all(text, fd, path, err);

    if (!is_input) {
        (void)close(fd);
    }
    return result;
}

void config_text_fini(struct config_text *text)
{
    if (text->text != NULL) {
        explicit_bzero(text->text, text->length); /* it may have secrets */
    }
    free(text->text);
    text->text = NULL;
}

uint8_t *config_text_request(const struct config_text *text, const struct request *request,
                             size_t *length, struct error *err)
{
    const size_t capacity = request->length + text->length + OVERHEAD_BYTES;
    const struct json_field *field = message_field_named(request->message, "yaml", strlen("yaml"));
    uint8_t *bytes = malloc(capacity);

    if (bytes == NULL) {
        (void)error_set(err, ENOMEM, "no memory for settings");
        return NULL;
    }
    struct wire_writer w = wire_writer_over(bytes, capacity);

    wire_write_raw(&w, request->bytes, request->length);
    wire_write_bytes(&w, field->number, text->text, text->length);
    *length = wire_written(&w);
    return bytes;
}

#include "collector-ui/capture/pcapng_block.h"

#include <stdlib.h>

#define ROOM_STEP ((size_t)64 * 1024)

/* ---- writing ---- */

void pcapng_output_free(struct pcapng_output *output)
{
    free(output->bytes);
    *output = (struct pcapng_output){0};
}

bool pcapng_reserve(struct pcapng_output *output, size_t bytes)
{
    if (output->room - output->length >= bytes) {
        return true;
    }
    const size_t room = output->length + bytes + ROOM_STEP;
    uint8_t *more = realloc(output->bytes, room);

    if (more == NULL) {
        return false;
    }
    output->bytes = more;
    output->room = room;
    return true;
}

void pcapng_put(struct pcapng_output *output, const void *bytes, size_t length)
{
    if (length > 0) {
        memcpy(output->bytes + output->length, bytes, length);
        output->length += length;
    }
}

void pcapng_put16(struct pcapng_output *output, uint16_t value)
{
    pcapng_put(output, &value, sizeof(value));
}

void pcapng_put32(struct pcapng_output *output, uint32_t value)
{
    pcapng_put(output, &value, sizeof(value));
}

void pcapng_put_option(struct pcapng_output *output, uint16_t code, const void *value,
                       uint16_t length)
{
    static const uint8_t nothing[4];

    pcapng_put16(output, code);
    pcapng_put16(output, length);
    pcapng_put(output, value, length);
    pcapng_put(output, nothing, pcapng_padded(length) - length);
}

void pcapng_put_end(struct pcapng_output *output, size_t start)
{
    const uint32_t length = (uint32_t)(output->length - start) + 4;

    memcpy(output->bytes + start + 4, &length, sizeof(length));
    pcapng_put32(output, length);
}

/* ---- options ---- */

bool pcapng_next_option(struct pcapng_options *in, struct pcapng_found *out)
{
    if (in->is_bad || in->at == in->end) {
        return false;
    }
    if (in->end - in->at < 4) {
        in->is_bad = true;
        return false;
    }
    out->code = pcapng_u16(in->at, in->is_swapped);
    out->length = pcapng_u16(in->at + 2, in->is_swapped);
    out->value = in->at + 4;
    if (out->code == PCAPNG_END) {
        return false;
    }
    if ((size_t)(in->end - out->value) < pcapng_padded(out->length)) {
        in->is_bad = true;
        return false;
    }
    in->at = out->value + pcapng_padded(out->length);
    return true;
}

/* What the numbers in an option are made of: 1 = bytes, 4 or 8; 0 = not known. */
static unsigned width_of(uint32_t type, uint16_t code)
{
    if (code == PCAPNG_COMMENT) {
        return 1;
    }
    if (type == PCAPNG_INTERFACE) {
        return code == 8 || code == 14 || code == 16 || code == 17 ? 8
               : code == 10                                        ? 4
               : code >= 3 && code <= 15                           ? 1
                                                                   : 0;
    }
    if (type == PCAPNG_STATISTICS) {
        return code == 2 || code == 3 ? 4 : code >= 4 && code <= 8 ? 8 : 0;
    }
    return code == 2 || code == 6 ? 4 : code == 3 || code == 7 ? 1 : code == 4 || code == 5 ? 8 : 0;
}

void pcapng_copy_option(struct pcapng_output *output, uint32_t type,
                        const struct pcapng_found *option, bool is_swapped)
{
    const unsigned width = width_of(type, option->code);

    if (!is_swapped || width == 1) {
        pcapng_put_option(output, option->code, option->value, option->length);
        return;
    }
    if (width == 0 || option->length % width != 0) {
        return;
    }
    pcapng_put16(output, option->code);
    pcapng_put16(output, option->length);
    for (uint32_t i = 0; i < option->length; i += width) {
        for (unsigned b = 0; b < width; b++) {
            output->bytes[output->length++] = option->value[i + width - 1 - b];
        }
    }
}

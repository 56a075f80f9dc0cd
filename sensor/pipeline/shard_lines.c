/* Terminal text of packets: a line, its protocol tree, its bytes. */
#include <stdio.h>
#include <string.h>

#include "sensor/pipeline/shard_private.h"
#include "sensor/wire/packet_summary.h"
#include "sensor/wire/packet_tree.h"

#define LINE_BYTES 2048

/* Room for one piece of text, or NULL (counted) when no batch is free. */
static char *line_begin(struct shard *shard)
{
    char *out = (char *)shard_reserve(shard, LINE_BYTES);

    if (out == NULL) {
        counter_add(&shard->counts.lost_lines, 1);
    }
    return out;
}

static void line_end(struct shard *shard, size_t length)
{
    batch_commit(shard->batch, (uint32_t)length)->stream = RECORD_STREAM_NONE;
}

static void print_tree(struct shard *shard, const struct frame *frame)
{
    struct packet_tree *tree = shard->tree;
    struct packet packet;

    (void)packet_tree_by(shard->settings.rules, frame, &packet, tree);
    for (uint32_t i = 0; i < tree->layer_count; i++) {
        const struct packet_tree_layer *layer = &tree->layers[i];
        char *out = line_begin(shard);

        if (out == NULL) {
            return;
        }
        line_end(shard, (size_t)snprintf(out, LINE_BYTES, "  %s (%u bytes at %u)", layer->name,
                                         layer->length, layer->offset));
        for (uint32_t j = 0; j < layer->field_count; j++) {
            const struct packet_tree_field *field = &tree->fields[layer->first_field + j];

            out = line_begin(shard);
            if (out == NULL) {
                return;
            }
            line_end(shard, (size_t)snprintf(out, LINE_BYTES, "    %s: %.1900s", field->name,
                                             field->value));
        }
    }
}

static void print_hex(struct shard *shard, const struct frame *frame)
{
    char line[PACKET_HEX_LINE_BYTES];

    for (uint32_t offset = 0; packet_hex_line(frame, offset, line);
         offset += PACKET_HEX_LINE_WIDTH) {
        char *out = line_begin(shard);

        if (out == NULL) {
            return;
        }
        line_end(shard, (size_t)snprintf(out, LINE_BYTES, "    %s", line));
    }
}

void shard_print(struct shard *shard, const struct frame *frame, const struct packet *packet,
                 uint64_t index)
{
    char *out = line_begin(shard);

    if (out == NULL) {
        return;
    }
    line_end(shard, packet_line(index, frame, packet, out, LINE_BYTES));
    if (shard->settings.lines >= SHARD_LINES_DETAILED) {
        print_tree(shard, frame);
    }
    if (shard->settings.lines == SHARD_LINES_HEX) {
        print_hex(shard, frame);
    }
}

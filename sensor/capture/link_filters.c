#include "sensor/capture/link_filters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/capture/capture_filter.h"

#define SNAPLEN_BYTES 262144 /* what a program returns for "all of it" */

struct link_program {
    uint16_t link_type;
    struct bpf_program program;
    struct link_program *next;
};

struct link_filters {
    char *text; /* NULL: everything passes */
    struct link_program *first;
};

struct link_filters *link_filters_new(const char *text, struct error *err)
{
    struct link_filters *filters = calloc(1, sizeof *filters);

    if (filters != NULL && !capture_filter_is_empty(text)) {
        filters->text = strdup(text);
    }
    if (filters == NULL || (filters->text == NULL && !capture_filter_is_empty(text))) {
        free(filters);
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    return filters;
}

void link_filters_free(struct link_filters *filters)
{
    if (filters == NULL) {
        return;
    }
    while (filters->first != NULL) {
        struct link_program *program = filters->first;

        filters->first = program->next;
        pcap_freecode(&program->program);
        free(program);
    }
    free(filters->text);
    free(filters);
}

static int compile(struct link_filters *filters, uint16_t link_type, struct error *err)
{
    struct link_program *program = calloc(1, sizeof *program);
    pcap_t *dead = pcap_open_dead(capture_dlt_of(link_type), SNAPLEN_BYTES);
    int status = -ENOMEM;

    if (program != NULL && dead != NULL) {
        status = capture_filter_compile(dead, filters->text, &program->program, err);
    } else {
        (void)error_set(err, ENOMEM, "out of memory");
    }
    if (dead != NULL) {
        pcap_close(dead);
    }
    if (program == NULL || status != 0) {
        free(program);
        return status;
    }
    program->link_type = link_type;
    program->next = filters->first;
    filters->first = program;
    return 0;
}

bool link_filters_find(const struct link_filters *filters, uint16_t link_type,
                       const struct bpf_program **out)
{
    *out = NULL;
    for (const struct link_program *at = filters->first; at != NULL; at = at->next) {
        if (at->link_type == link_type) {
            *out = &at->program;
            return true;
        }
    }
    return filters->text == NULL;
}

int link_filters_program(struct link_filters *filters, uint16_t link_type,
                         const struct bpf_program **out, struct error *err)
{
    *out = NULL;
    while (!link_filters_find(filters, link_type, out)) {
        const int status = compile(filters, link_type, err);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

bool link_filter_passes(const struct bpf_program *program, const struct frame *frame)
{
    if (program == NULL) {
        return true;
    }
    const struct pcap_pkthdr header = {.caplen = frame->captured_bytes, .len = frame->wire_bytes};
    return pcap_offline_filter(program, &header, frame->bytes) != 0;
}
